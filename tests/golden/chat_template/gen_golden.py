"""Writes chats.json, expressions.json and statements.json: what jinja2 makes of our inputs.

    python3 -m venv venv && venv/bin/pip install jinja2==3.1.6 && venv/bin/python gen_golden.py

Each case holds "expect" (the exact text) or "error" (jinja2 refused; the message is compared only
for raise_exception, whose text the template writes).
"""

import copy
import json
import pathlib
import re

import conversations
import environment
import expressions
import statements

HERE = pathlib.Path(__file__).resolve().parent
SEED = 20260101
N_RANDOM = 3000

# Values that no other implementation prints alike: addresses, and integers beyond 128 bits.
UNPORTABLE = re.compile(r" at 0x|\d{39}|<built-in|<class|<function|<bound|<Loop|reversed object")


def portable(case):
    return UNPORTABLE.search(case.get("expect", "")) is None


def write(name, held):
    text = json.dumps(held, ensure_ascii=False, indent=0)
    (HERE / name).write_text(text + "\n", encoding="utf-8")
    n_errors = sum("error" in case for case in held["cases"])
    print(f"{name}: {len(held['cases'])} cases, {n_errors} of them errors, {len(text)} characters")


def chats(jinja):
    templates = {}
    cases = []
    variables = conversations.conversations()
    for path in sorted((HERE / "templates").glob("*.jinja")):
        templates[path.stem] = path.read_text(encoding="utf-8")
        for name, held in variables.items():
            result = environment.render(jinja, templates[path.stem], held)
            cases.append({"template": path.stem, "variables": name, **result})
    return {"templates": templates, "variables": variables, "cases": cases}


def small(jinja, sources):
    cases = []
    for source in dict.fromkeys(sources):
        # A copy for each: jinja2's indent filter changes a list that it is given by mistake.
        variables = copy.deepcopy(expressions.VARIABLES)
        case = {"source": source, **environment.render(jinja, source, variables)}
        if portable(case):
            cases.append(case)
    return {"variables": expressions.VARIABLES, "cases": cases}


def main():
    jinja = environment.make_environment()
    write("chats.json", chats(jinja))
    random_ones = list(expressions.Generator(SEED).sources(N_RANDOM))
    write("expressions.json", small(jinja, [*expressions.written(), *random_ones]))
    write("statements.json", small(jinja, statements.STATEMENTS))


if __name__ == "__main__":
    main()
