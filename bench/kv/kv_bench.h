#pragma once
// `turboquant-bench kv`: what each KV format gives on a real model, by context: decode speed, time
// to the first token, bytes of the sequence, peak memory. Main thread only.

namespace tq::bench {

int run_kv(int argc, char** argv);

}  // namespace tq::bench
