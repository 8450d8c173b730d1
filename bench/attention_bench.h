#pragma once
// `turboquant-bench attention`: what attention over packed codes costs, against bf16 and the
// memory. Main thread only.

namespace tq::bench {

int run_attention(int argc, char** argv);

}  // namespace tq::bench
