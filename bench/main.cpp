// turboquant-bench: one program, a subcommand per part of the house that is worth measuring.

#include <array>
#include <cstdio>
#include <string_view>

#include "bench/attention_bench.h"
#include "bench/kv/kv_bench.h"
#include "bench/quality/quality_bench.h"
#include "bench/quant_bench.h"
#include "bench/serve_bench.h"

namespace {

struct Subcommand {
  std::string_view name;
  std::string_view summary;
  int (*run)(int argc, char** argv);  // argv[0] is the subcommand's name; returns the exit status
};

constexpr std::array kSubcommands{
    Subcommand{"attention", "attention over packed codes, against bf16 and plain reads",
               tq::bench::run_attention},
    Subcommand{"kv", "decode speed, time to first token and memory by KV format, on a real model",
               tq::bench::run_kv},
    Subcommand{"quality", "what each KV format costs on a real model", tq::bench::run_quality},
    Subcommand{"quant", "distortion, inner products and speed of the quantisers",
               tq::bench::run_quant},
    Subcommand{"serve", "load test over HTTP of any OpenAI-compatible server",
               tq::bench::run_serve},
};

void print_usage(std::FILE* out) {
  std::fputs("usage: turboquant-bench SUBCOMMAND [flags]; SUBCOMMAND --help lists its flags\n\n",
             out);
  for (const Subcommand& command : kSubcommands) {
    std::fprintf(out, "  %-12s %s\n", command.name.data(), command.summary.data());
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  for (const Subcommand& command : kSubcommands) {
    if (name == command.name) return command.run(argc - 1, argv + 1);
  }
  if (name == "--help" || name == "-h") {
    print_usage(stdout);
    return 0;
  }
  if (!name.empty()) std::fprintf(stderr, "unknown subcommand '%s'\n\n", argv[1]);
  print_usage(stderr);
  return 2;
}
