#include "bench/cuda/select_case.h"

#include <functional>
#include <vector>

#include "kernels/cuda/cuda_select.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/recording.h"
#include "quant/random.h"

namespace tq::bench {
namespace {

using namespace kernels;

std::vector<RowQuery> queries_of(const SelectCaseOptions& options, quant::Rng& rng) {
  std::vector<RowQuery> queries;
  for (int row = 0; row < options.n_rows; ++row) {
    RowQuery query{.row = row};
    if (options.kind != "greedy") query.factor = weight_factor(0.8f);
    if (options.kind == "draw") query.u = rng.uniform();
    if (options.kind == "top_p") query.n_top = kSelectTopMax;
    queries.push_back(query);
  }
  return queries;
}

Result<std::vector<double>> time_runs(cuda::Stream stream,
                                      const std::function<Result<void>()>& put,
                                      int n_runs) {
  constexpr int kPlays = 20;
  TQ_TRY(put());  // once before: memory is allocated
  TQ_TRY(cuda::wait(stream));
  TQ_ASSIGN(auto recording, cuda::Recording::make(stream, put));
  TQ_TRY(recording.play(1));
  std::vector<double> seconds;
  for (int run = 0; run < n_runs; ++run) {
    TQ_ASSIGN(const double all, recording.play(kPlays));
    seconds.push_back(all / kPlays);
  }
  return seconds;
}

}  // namespace

Result<SelectSeconds> measure_select(const SelectCaseOptions& options, int n_runs) {
  quant::Rng rng(options.seed, quant::RngStream::kData);
  const size_t n_bytes =
      static_cast<size_t>(options.n_rows) * static_cast<size_t>(options.vocab) * sizeof(float);
  TQ_ASSIGN(const cuda::OwnStream stream, cuda::make_stream());
  TQ_ASSIGN(const auto device, cuda::allocate_device("logits", n_bytes));
  TQ_ASSIGN(const auto host, cuda::allocate_pinned(n_bytes));
  auto* const logits = reinterpret_cast<float*>(host.get());
  for (size_t i = 0; i < n_bytes / sizeof(float); ++i) {
    logits[i] = static_cast<float>(3.0 * rng.gaussian());
  }
  TQ_TRY(cuda::copy(device.get(), host.get(), n_bytes, stream.get()));
  const std::vector<RowQuery> queries = queries_of(options, rng);
  const auto select = cuda::make_cuda_select(stream.get());
  const auto choose = [&] {
    return select->select({.logits = reinterpret_cast<float*>(device.get()),
                           .n_rows = options.n_rows,
                           .row_size = options.vocab,
                           .n_tokens = options.vocab,
                           .queries = queries});
  };
  const auto copy_back = [&] {
    return cuda::copy(host.get(), device.get(), n_bytes, stream.get());
  };
  SelectSeconds seconds;
  TQ_ASSIGN(seconds.select, time_runs(stream.get(), choose, n_runs));
  TQ_ASSIGN(seconds.copy, time_runs(stream.get(), copy_back, n_runs));
  return seconds;
}

}  // namespace tq::bench
