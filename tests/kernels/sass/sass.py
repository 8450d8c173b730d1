"""Reads what cuobjdump says of a kernel: its resources, its instructions, its loops.

A loop is a natural one: a branch back to an instruction that every way to the branch passes, with
all that reaches the branch from there. Code for warps that have diverged (behind BRA.DIV) is out of
the way and not counted.
"""

import collections
import dataclasses
import re
import subprocess

INSTRUCTION = re.compile(r"^\s*/\*([0-9a-f]{4,})\*/\s+(?:(@!?U?P\w+)\s+)?([A-Z][\w.]*)\s*([^;]*);")
HEADERS = {
    "arch": re.compile(r"^\s*arch = (sm_\w+)"),
    "function": re.compile(r"^\s*Function ?:? (\w+):?\s*$"),
    "resources": re.compile(r"^\s*REG:(\d+) STACK:(\d+) SHARED:(\d+) LOCAL:(\d+)"),
}
JUMPS = {"BRA", "BRX", "JMP"}
ENDS = {"EXIT", "RET", "BRX", "JMP"}


@dataclasses.dataclass(frozen=True)
class Instruction:
    address: int
    predicate: str  # "" where it always runs
    opcode: str     # with its modifiers: "LDG.E.128"
    operands: str

    @property
    def name(self):
        return self.opcode.split(".")[0]

    def always(self):
        """Whether it runs whatever its predicate, which BRA.U has among its operands."""
        return not self.predicate and not re.match(r"!?UP", self.operands)

    def target(self):
        """Where a BRA or CALL goes, if the text says so."""
        found = re.search(r"(?:^|\s|`\()0x([0-9a-f]+)\)?\s*$", self.operands)
        return int(found.group(1), 16) if found and self.name in ("BRA", "CALL") else None


@dataclasses.dataclass
class Loop:
    instructions: list

    def count(self, *opcodes):
        """Instructions of any of these names; "LDG.128" asks for that modifier too."""
        return sum(any(set(opcode.split(".")) <= set(i.opcode.split(".")) for opcode in opcodes)
                   for i in self.instructions)

    def calls(self):
        """Calls proper: a call of what follows the loop is the compiler's way to leave it."""
        behind = self.instructions[-1].address + 16
        return sum(i.name == "CALL" and i.target() != behind for i in self.instructions)


@dataclasses.dataclass
class Kernel:
    name: str  # mangled
    arch: str
    registers: int = 0
    stack: int = 0
    shared: int = 0  # static
    local: int = 0
    instructions: list = dataclasses.field(default_factory=list)


def add_table_jumps(code, after):
    """BRX reads its target from a table, which no listing shows: it may go to what nothing else
    leads to, from there to the next BRX."""
    reached = {n for ones in after for n in ones}
    table = None
    for i, instruction in enumerate(code):
        if i > 0 and i not in reached and table is not None:
            after[table].add(i)
        if instruction.name == "BRX":
            table = i


def flow(code):
    """Basic blocks, as lists of instructions, and the blocks that may follow each."""
    index = {instruction.address: i for i, instruction in enumerate(code)}
    after = []
    for i, instruction in enumerate(code):
        diverged = ".DIV" in instruction.opcode
        target = index.get(instruction.target())
        falls = diverged or not instruction.always() or instruction.name not in JUMPS | ENDS
        after.append({i + 1} if falls and i + 1 < len(code) else set())
        if target is not None and not diverged:
            after[i].add(target)
    add_table_jumps(code, after)
    leaders = {0} | {n for i, ones in enumerate(after) if ones != {i + 1}
                     for n in ones | {i + 1} if n < len(code)}
    starts = sorted(leaders)
    block_of = {start: block for block, start in enumerate(starts)}
    ends = starts[1:] + [len(code)]
    return ([code[start:end] for start, end in zip(starts, ends)],
            [sorted(block_of[n] for n in after[end - 1]) for end in ends])


def postorder(edges):
    order, seen, stack = [], {0}, [(0, iter(edges[0]))]
    while stack:
        node, rest = stack[-1]
        following = next((n for n in rest if n not in seen), None)
        if following is None:
            order.append(node)
            stack.pop()
        else:
            seen.add(following)
            stack.append((following, iter(edges[following])))
    return order


def dominators(edges, before):
    """The immediate dominator of each block that can be reached (Cooper, Harvey, Kennedy)."""
    order = postorder(edges)
    number = {node: i for i, node in enumerate(order)}
    immediate = {0: 0}
    changed = True
    while changed:
        changed = False
        for node in reversed(order[:-1]):
            new = None
            for other in before[node]:
                if other not in immediate:
                    continue
                while new is not None and new != other:
                    if number[new] < number[other]:
                        new = immediate[new]
                    else:
                        other = immediate[other]
                new = other
            if immediate.get(node) != new:
                immediate[node] = new
                changed = True
    return immediate


def loops(code, *opcodes):
    """Innermost loops, by address; with opcodes, the innermost of those that hold one of them."""
    if not code:
        return []
    blocks, edges = flow(code)
    before = collections.defaultdict(list)
    for block, next_ones in enumerate(edges):
        for following in next_ones:
            before[following].append(block)
    immediate = dominators(edges, before)
    bodies = collections.defaultdict(set)  # by the loop's first block
    for block in immediate:
        for head in edges[block]:
            above = block
            while above not in (head, 0):
                above = immediate[above]
            if above != head:
                continue
            body, todo = bodies[head], [block]
            body.add(head)
            while todo:
                at = todo.pop()
                if at not in body:
                    body.add(at)
                    todo.extend(n for n in before[at] if n in immediate)
    found = {head: Loop([i for block in sorted(body) for i in blocks[block]])
             for head, body in bodies.items()}
    chosen = [head for head, loop in found.items() if not opcodes or loop.count(*opcodes)]
    inner = [found[head] for head in chosen
             if not any(other in bodies[head] for other in chosen if other != head)]
    return sorted(inner, key=lambda loop: loop.instructions[0].address)


def parse(resource_text, sass_text):
    """Kernels of one object, from the two listings of cuobjdump."""
    kernels = {}
    for text in (resource_text, sass_text):
        arch = kernel = None
        for line in text.splitlines():
            if found := HEADERS["arch"].match(line):
                arch = found.group(1)
            elif found := HEADERS["function"].match(line):
                kernel = kernels.setdefault((found.group(1), arch), Kernel(found.group(1), arch))
            elif kernel and (found := HEADERS["resources"].match(line)):
                kernel.registers, kernel.stack, kernel.shared, kernel.local = map(
                    int, found.groups())
            elif kernel and (found := INSTRUCTION.match(line)):
                address, predicate, opcode, operands = found.groups()
                kernel.instructions.append(
                    Instruction(int(address, 16), predicate or "", opcode, operands.strip()))
    return list(kernels.values())


def read(cuobjdump, path):
    """Kernels of an object, library or cubin."""
    listings = [subprocess.run([cuobjdump, option, path], check=True, text=True,
                               stdout=subprocess.PIPE).stdout
                for option in ("--dump-resource-usage", "--dump-sass")]
    return parse(*listings)
