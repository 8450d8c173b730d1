#pragma once
// `turboquant-bench quant`: what the quantisers of quant/ cost and lose, against the theory. Main
// thread only.

namespace tq::bench {

int run_quant(int argc, char** argv);

}  // namespace tq::bench
