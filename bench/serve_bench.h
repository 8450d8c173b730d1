#pragma once
// `turboquant-bench serve`: a load test over HTTP of any OpenAI-compatible server. Closed loop (N
// streams, each sends its next request when the last has ended) or open loop (requests arrive by a
// Poisson process, whether or not the server keeps up). Main thread only.

namespace tq::bench {

int run_serve(int argc, char** argv);

}  // namespace tq::bench
