#include "tests/kernels/ptx/module.h"

#include <cxxabi.h>

#include <algorithm>
#include <cstdlib>
#include <regex>
#include <utility>

#include "tests/kernels/simt/regions.h"

namespace tq::kernels::ptx {
namespace {

constexpr size_t kDynamicAlignment = 128;
constexpr std::string_view kBlanks = " \t";

size_t align(size_t n, size_t alignment) { return (n + alignment - 1) / alignment * alignment; }

// Calls use(line) for each line.
template <class Use>
void for_lines(std::string_view text, Use use) {
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    use(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
}

// The words between separators.
std::vector<std::string> words(std::string_view text, std::string_view separators) {
  std::vector<std::string> found;
  for (size_t at = 0; (at = text.find_first_not_of(separators, at)) != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(separators, at), text.size());
    found.emplace_back(text.substr(at, end - at));
    at = end;
  }
  return found;
}

Statement read_statement(std::string_view line) {
  Statement statement;
  statement.text = line;
  line.remove_suffix(1);  // ;
  if (line.starts_with('@')) {
    const size_t end = line.find_first_of(kBlanks);
    statement.guard_negated = line[1] == '!';
    statement.guard =
        line.substr(statement.guard_negated ? 2 : 1, end - (statement.guard_negated ? 2 : 1));
    line.remove_prefix(line.find_first_not_of(kBlanks, end));
  }
  const size_t end = std::min(line.find_first_of(kBlanks), line.size());
  statement.opcode = line.substr(0, end);
  statement.operands = words(line.substr(end), " \t,{}|");
  const size_t brace = line.find('{');
  if (statement.opcode.starts_with("mov.") && brace != std::string_view::npos) {
    statement.opcode += line.find('%') > brace ? ".unpack" : ".pack";
  }
  return statement;
}

// .reg .b32 %r<205>; or .reg .b64 %SP;
void read_registers(const std::string& line, Kernel& kernel) {
  static const std::regex pattern(R"(\.reg \.(pred|[bf](\d+)) (%?\w+?)(<\d+>)?;)");
  std::smatch found;
  if (!std::regex_match(line, found, pattern)) throw Fault("not understood: " + line);
  kernel.registers[found[3]] = found[1] == "pred" ? kPredicate : std::stoi(found[2]) / 8;
}

// .shared, .extern .shared, .local, .param or .global, .align 4 .b8 name[12], and for .global its
// bytes.
struct Declaration {
  std::string space;
  std::string name;
  size_t alignment = 0;
  size_t n_bytes = 0;
  std::string values;
};
Declaration read_declaration(const std::string& line) {
  static const std::regex pattern(
      R"(\.((?:extern \.)?\w+) \.align (\d+) \.b8 (\w+)\[(\d*)\](?: = \{(.*)\})?;?)");
  std::smatch found;
  if (!std::regex_match(line, found, pattern)) throw Fault("not understood: " + line);
  const size_t n_bytes = found[4].length() > 0 ? std::stoul(found[4]) : 0;
  return {found[1], found[3], std::stoul(found[2]), n_bytes, found[5]};
}

void declare(const Declaration& it, Kernel& kernel) {
  const auto place = [&](size_t& space) {
    const size_t at = align(space, it.alignment);
    kernel.addresses[it.name] = kSpaceStart + at;
    space = at + it.n_bytes;
  };
  if (it.space == "shared") {
    place(kernel.shared_bytes);
  } else if (it.space == "local") {
    place(kernel.local_bytes);
  } else if (it.space == "param") {
    if (kernel.param_bytes != 0) throw Fault("a kernel with two parameters");
    place(kernel.param_bytes);
  } else {
    throw Fault("a variable in ." + it.space);
  }
}

void read_line(std::string_view line, Kernel& kernel) {
  static constexpr std::string_view kThreads = ".maxntid ";
  const bool is_known = line.empty() || line == "{" || line == "}" || line == ")" ||
                        line.starts_with(".pragma ") || line.starts_with(".minnctapersm ");
  if (is_known) return;
  if (line.starts_with("{ ")) {  // { .reg .b16 tmp; mov.b32 {tmp, %rs1}, %r1; }
    for (const std::string& part : words(line.substr(2, line.size() - 3), ";")) {
      const size_t start = part.find_first_not_of(kBlanks);
      if (start != std::string::npos) read_line(part.substr(start) + ";", kernel);
    }
    return;
  }
  if (line.starts_with(kThreads)) {
    kernel.n_threads_max =
        static_cast<unsigned>(std::stoul(std::string(line.substr(kThreads.size()))));
  } else if (line.starts_with(".reg ")) {
    read_registers(std::string(line), kernel);
  } else if (line.starts_with('.')) {
    declare(read_declaration(std::string(line)), kernel);
  } else if (line.ends_with(':')) {
    kernel.labels[std::string(line.substr(0, line.size() - 1))] = kernel.statements.size();
  } else if (line.ends_with(';')) {
    kernel.statements.push_back(read_statement(line));
  } else {
    throw Fault("not understood: " + std::string(line));
  }
}

}  // namespace

std::string plain_name(const char* mangled) {
  int status = 0;
  char* const demangled = abi::__cxa_demangle(mangled, nullptr, nullptr, &status);
  if (status != 0) return mangled;
  std::string name = demangled;
  std::free(demangled);
  for (const auto& [from, to] :
       {std::pair{"cuda_emulated::", "cuda::"}, std::pair{"(anonymous namespace)::", ""},
        std::pair{"void ", ""}}) {
    for (size_t at = 0; (at = name.find(from, at)) != std::string::npos;) {
      name.replace(at, std::string_view(from).size(), to);
    }
  }
  // The parameter list is the last parenthesis; those of template arguments are casts of
  // enumerators.
  return name.substr(0, name.rfind('('));
}

Program::Program(std::string text) : text_(std::move(text)) {
  static constexpr std::string_view kModule = ".version ", kEntry = ".entry ", kEnd = "\n}\n";
  const std::string_view whole = text_;
  for (size_t start = whole.find(kModule); start != std::string_view::npos;) {
    const size_t next = whole.find(kModule, start + 1);
    const std::string_view module = whole.substr(start, next - start);
    start = next;
    const std::string_view outside = module.substr(0, module.find(kEntry));
    for (size_t at = 0; (at = module.find(kEntry, at)) != std::string_view::npos;) {
      const size_t name = at + kEntry.size();
      const size_t end = module.find(kEnd, at);
      const std::string mangled(module.substr(name, module.find('(', name) - name));
      sources_.emplace(plain_name(mangled.c_str()), Source{module.substr(at, end - at), outside});
      at = end;
    }
  }
}

std::vector<std::string> Program::names() const {
  std::vector<std::string> names;
  for (const auto& [name, source] : sources_) names.push_back(name);
  return names;
}

const Kernel& Program::kernel(std::string_view name) {
  if (const auto known = kernels_.find(name); known != kernels_.end()) return known->second;
  const auto found = sources_.find(name);
  if (found == sources_.end()) throw Fault("no PTX of " + std::string(name));
  Kernel kernel;
  kernel.name = found->first;
  std::vector<std::string> dynamic;
  for_lines(found->second.outside, [&](std::string_view line) {
    if (!line.starts_with(".shared ") && !line.starts_with(".extern ") &&
        !line.starts_with(".global ")) {
      return;
    }
    const Declaration it = read_declaration(std::string(line));
    if (it.space == "extern .shared") {
      dynamic.push_back(it.name);
    } else if (it.space == "global") {
      auto& values = *constants_.emplace_back(std::make_unique<std::vector<std::byte>>());
      for (const std::string& word : words(it.values, ", ")) {
        values.push_back(static_cast<std::byte>(std::stoi(word)));
      }
      if (values.size() != it.n_bytes) throw Fault("bytes of " + it.name);
      simt::add_region(values.data(), it.n_bytes);
      kernel.addresses[it.name] = reinterpret_cast<uint64_t>(values.data());
    } else {
      declare(it, kernel);
    }
  });
  const std::string_view text = found->second.text;
  for_lines(text.substr(text.find('\n') + 1),
            [&](std::string_view line) { read_line(line, kernel); });
  kernel.shared_bytes = align(kernel.shared_bytes, kDynamicAlignment);
  for (const std::string& one : dynamic) {
    kernel.addresses[one] = kSpaceStart + kernel.shared_bytes;
  }
  return kernels_.emplace(kernel.name, std::move(kernel)).first->second;
}

}  // namespace tq::kernels::ptx
