#!/usr/bin/env python3
"""Plants violations in a small tree: each rule catches its own, and a clean tree stays clean."""

import pathlib
import tempfile
import unittest

import check
import cpp_text

HEADER = """#pragma once
// A thing. Owned by nobody; any thread.

namespace tq {

int thing();

}  // namespace tq
"""
SOURCE = """#include "quant/thing.h"

namespace tq {

int thing() { return 1; }

}  // namespace tq
"""


def body(n_lines):
    return "int f() {\n" + "  g();\n" * (n_lines - 2) + "}\n"


class Tree(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.addCleanup(self.folder.cleanup)
        self.root = pathlib.Path(self.folder.name)
        for layer in check.TOP_LEVEL:
            self.put(f"{layer}/README.md", f"# {layer}\n")
        self.put("CMakeLists.txt", "project(x)\n")
        self.put(".clang-format", "BasedOnStyle: Google\nColumnLimit: 100\n")
        self.put("quant/thing.h", HEADER)
        self.put("quant/thing.cpp", SOURCE)

    def put(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def found(self, rule):
        return list(check.violations(self.root, {rule}))

    def caught(self, rule, path, text, part):
        """Exactly one violation, of that file, with that message."""
        self.put(path, text)
        found = self.found(rule)
        self.assertEqual(len(found), 1, found)
        self.assertTrue(found[0].startswith(path + ":"), found)
        self.assertIn(part, found[0])

    def test_clean_tree(self):
        self.assertEqual(list(check.violations(self.root)), [])

    def test_upward_include(self):
        self.caught("layers", "quant/up.cpp", '#include "engine/step.h"\n', "must not include")

    def test_include_of_tests_from_a_layer(self):
        self.caught("layers", "server/up.cpp", '#include "tests/support/x.h"\n', "must not include")

    def test_include_without_folder(self):
        self.caught("layers", "quant/up.cpp", '#include "thing.h"\n', "does not name its folder")

    def test_downward_include(self):
        self.put("engine/down.cpp", '#include "quant/thing.h"\n#include "config/ids.h"\n')
        self.assertEqual(self.found("layers"), [])

    def test_include_in_comment(self):
        self.put("quant/up.cpp", '/*\n#include "engine/step.h"\n*/\n')
        self.assertEqual(self.found("layers"), [])

    def test_torch_outside_models(self):
        self.caught("layers", "engine/sampler.cpp", "#include <ATen/ATen.h>\n", "LibTorch")

    def test_torch_in_its_rooms(self):
        self.put("engine/torch_runner.cpp", "#include <ATen/ATen.h>\n")
        self.put("models/decoder.cpp", "#include <ATen/ATen.h>\n")
        self.assertEqual(self.found("layers"), [])

    def test_cuda_outside_its_room(self):
        self.caught("layers", "kernels/cpu/x.cpp", "#include <cuda_runtime.h>\n", "CUDA")

    def test_header_without_pragma(self):
        self.caught("headers", "quant/x.h", "// A thing.\n", "#pragma once")

    def test_body_per_instruction_set_is_no_header(self):
        text = "// A body.\nnamespace tq::TQ_ISA {}\n" + "int f();\n" * 398
        self.put("kernels/cpu/x.h", text)
        self.assertEqual(self.found("headers") + self.found("lengths"), [])
        self.caught("headers", "quant/y.h", text, "#pragma once")

    def test_header_without_comment(self):
        self.caught("headers", "quant/x.h", "#pragma once\n#include <vector>\n", "first comment")

    def test_using_namespace_in_header(self):
        text = "#pragma once\n// A thing.\n\nusing namespace std;\n"
        self.caught("headers", "quant/x.h", text, "using namespace")

    def test_own_header_not_first(self):
        self.caught("headers", "quant/thing.cpp", "#include <vector>\n" + SOURCE, "first")

    def test_preprocessor_condition(self):
        text = "#ifdef __AVX2__\nint x;\n#endif\n"
        self.caught("preprocessor", "engine/x.cpp", text, "#if")
        self.put("kernels/cpu/x.cpp", text)
        self.assertEqual(len(self.found("preprocessor")), 1)

    def test_long_line(self):
        self.caught("lengths", "quant/x.cpp", f"int {'x' * 97};\n", "columns")

    def test_long_file(self):
        self.caught("lengths", "quant/x.cpp", "int f();\n" * 401, "file of 401")

    def test_long_header(self):
        self.caught("lengths", "quant/x.h", HEADER + "int f();\n" * 193, "file of 201")

    def test_long_root(self):
        self.caught("lengths", "CMakeLists.txt", "option(X)\n" * 151, "file of 151")

    def test_long_function(self):
        self.put("quant/x.cpp", "namespace tq {\n" + body(70) + "}  // namespace tq\n")
        self.assertEqual(self.found("lengths"), [])
        self.caught("lengths", "quant/x.cpp", "namespace {\n" + body(71) + "}\n", "function of 71")

    def test_long_device_function(self):
        self.put("kernels/cuda/x.cu", "__global__ void f(int x) {\n" + "  g();\n" * 118 + "}\n")
        self.assertEqual(self.found("lengths"), [])
        text = "__global__ void f(int x) {\n" + "  g();\n" * 119 + "}\n"
        self.caught("lengths", "kernels/cuda/x.cu", text, "function of 121")

    def test_mark_without_issue(self):
        self.put("quant/x.cpp", "// TO" "DO(#12): later.\n")
        self.assertEqual(self.found("comments"), [])
        self.caught("comments", "quant/x.cpp", "// TO" "DO: later.\n", "issue number")

    def test_commented_out_code(self):
        for line in ["return x;", "foo(1, 2);", "x.y = 3;", "if (a < b) {", "#include <a>", "}"]:
            with self.subTest(line):
                self.caught("comments", "quant/x.cpp", f"  // {line}\n", "commented-out")

    def test_prose_with_semicolons(self):
        self.put("quant/x.cpp",
                 "// The block is freed (by the engine);\n// d = 64 here, as in [1].\n"
                 "// return early: the row is empty.\n// if the pool is full;\n")
        self.assertEqual(self.found("comments"), [])

    def test_whitespace(self):
        self.caught("whitespace", "quant/x.cpp", "int\tx;\n", "tab")
        self.caught("whitespace", "quant/x.cpp", "int x; \n", "blank")
        self.caught("whitespace", "quant/x.cpp", "int x;", "line break")

    def test_machine_path(self):
        self.caught("paths", "bench/x.py", "open('/ro" "ot/x')\n", "path of one machine")

    def test_missing_readme(self):
        (self.root / "engine/README.md").unlink()
        self.assertEqual(self.found("readme"), ["engine/README.md:1: [readme] missing"])

    def test_new_folder(self):
        self.put("common/x.h", HEADER)
        self.assertEqual(len(self.found("readme")), 1)

    def test_broken_shell_script(self):
        self.caught("shell", "docker/x.sh", "if true; then\n", "syntax error")

    def test_format(self):
        self.caught("format", "quant/x.cpp", "int  x ;\n", "clang-format")

    def test_allow_needs_a_reason(self):
        allow = "// tidy-allow(preprocessor): the two platforms differ here.\n"
        self.put("engine/x.cpp", allow + "#ifdef X\n#endif\n")
        self.assertEqual(self.found("preprocessor"), [])
        self.put("engine/x.cpp", "// tidy-allow(preprocessor)\n#ifdef X\n#endif\n")
        self.assertEqual(len(self.found("preprocessor")), 1)
        self.put("engine/x.cpp", allow.replace("preprocessor", "format") + "#ifdef X\n#endif\n")
        self.assertEqual(len(self.found("preprocessor")), 1)

    def test_lone_headers(self):
        self.put("models/a.h", "#pragma once\n#include <ATen/ATen.h>\n")
        self.put("models/b.h", '#pragma once\n#include "models/a.h"\n')
        self.put("config/c.h", "#pragma once\n")
        self.assertEqual(sorted(check.lone_headers(self.root)),
                         ["plain config/c.h", "torch models/a.h", "torch models/b.h"])


class CppText(unittest.TestCase):
    def spans(self, text):
        return [(first, last) for first, last, _ in cpp_text.functions(text)]

    def test_blank_keeps_lines_and_code(self):
        text = 'int a = 1\'000; // "x"\nchar c = \'"\'; auto s = R"(}\n{)"; /* {\n */ int b;\n'
        blanked = cpp_text.blank(text)
        self.assertEqual(blanked.count("\n"), text.count("\n"))
        self.assertNotIn("}", blanked)
        self.assertIn("int b;", blanked)

    def test_functions_of_all_shapes(self):
        self.assertEqual(self.spans("int f() {\n}\n"), [(1, 2)])
        self.assertEqual(self.spans("auto f(int a,\n       int b) -> int {\n}\n"), [(1, 3)])
        self.assertEqual(self.spans("struct S {\n  int f() const noexcept {\n  }\n};\n"), [(2, 3)])
        self.assertEqual(self.spans("template <class T>\nvoid f() {\n}\n"), [(1, 3)])
        self.assertEqual(self.spans("TEST_CASE(\"a {\") {\n}\n"), [(1, 2)])
        self.assertEqual(self.spans("S::S(int a) : a_(a) {\n}\n"), [(1, 2)])

    def test_what_is_no_function(self):
        self.assertEqual(self.spans("const int kX[] = {\n f(1),\n};\nenum class E {\n kA };\n"), [])
        self.assertEqual(self.spans("namespace a {\nclass B {\n};\n}\n"), [])

    def test_inner_functions_count_once(self):
        self.assertEqual(self.spans("int f() {\n  auto g = [](int x) {\n  };\n}\n"), [(1, 4)])


if __name__ == "__main__":
    unittest.main()
