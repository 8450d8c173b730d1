"""The shortest ways through a kernel's code: what a warp runs where nothing unusual happens."""

import heapq

import sass


class Code:
    """A kernel's basic blocks, by number, in the order of their addresses."""

    def __init__(self, kernel):
        self.blocks, self.edges = sass.flow(kernel.instructions)

    def count(self, block, *opcodes):
        return sass.Loop(self.blocks[block]).count(*opcodes)

    def holding(self, *opcodes, among=None):
        return [block for block in (range(len(self.blocks)) if among is None else among)
                if self.count(block, *opcodes)]

    def ends(self):
        return {block for block, code in enumerate(self.blocks)
                if code[-1].name == "EXIT" and code[-1].always()}

    def from_to(self, start, goals, barred):
        """Blocks behind `start`, up to one of the goals, with the fewest instructions; or None."""
        todo, seen = [(0, [start])], set()
        while todo:
            length, way = heapq.heappop(todo)
            if way[-1] in goals and len(way) > 1:
                return way[1:]
            if way[-1] in seen:
                continue
            seen.add(way[-1])
            for block in self.edges[way[-1]]:
                if block != barred:
                    heapq.heappush(todo, (length + len(self.blocks[block]), way + [block]))
        return None

    def way(self, stops, to_end=False, barred=None):
        """Blocks of the shortest way through all stops, in this order; never back to `barred`. A
        stop is a block, or a set of which one will do."""
        blocks = [stops[0]]
        goals = [stop if isinstance(stop, set) else {stop} for stop in stops[1:]]
        for goal in goals + ([self.ends()] if to_end else []):
            if blocks[-1] in goal:
                continue
            part = self.from_to(blocks[-1], goal, barred)
            if part is None:
                return None
            blocks += part
        return blocks

    def turn(self, loop, *opcodes):
        """One turn of a loop, through its blocks that hold one of these opcodes."""
        addresses = {instruction.address for instruction in loop.instructions}
        inside = [block for block, code in enumerate(self.blocks) if code[0].address in addresses]
        head = inside[0]
        back = [block for block in inside if head in self.edges[block]][-1]
        stops = self.holding(*opcodes, among=inside) if opcodes else []
        return self.code(self.way([head, *(b for b in stops if b != head), back], barred=head))

    def code(self, blocks):
        return sass.Loop([instruction for block in blocks for instruction in self.blocks[block]])
