#pragma once
// `turboquant-bench quality`: what each KV format costs on a real model, against 16-bit KV on the
// same tokens: KL divergence of the next-token distribution, top-1 agreement, perplexity. Main
// thread only.

namespace tq::bench {

int run_quality(int argc, char** argv);

}  // namespace tq::bench
