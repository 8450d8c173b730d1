#include "bench/cuda/device_contest.h"

#include <memory>
#include <string>
#include <utility>

#include "bench/cuda/device_copy.h"
#include "kernels/cuda/device.h"
#include "kernels/cuda/recording.h"

namespace tq::bench {
namespace {

using kernels::cuda::Recording;

struct Turn {
  TurnTimes times;
  std::function<Result<double>()> seconds;  // of one call
};

struct Rival {
  std::unique_ptr<SdpaCase> sdpa;
  Recording recording;
};

// LibTorch's kernels, recorded as ours are: with the host's share, ten times that of a short
// attention, neither would be seen.
Result<std::vector<Rival>> record(SdpaCases cases) {
  std::vector<Rival> rivals;
  for (auto& one : cases) {
    auto* const stream = static_cast<kernels::cuda::Stream>(one->stream());
    TQ_TRY(one->attend());
    TQ_TRY(kernels::cuda::wait(stream));
    TQ_ASSIGN(Recording recording,
              Recording::make(stream, [sdpa = one.get()] { return sdpa->attend(); }));
    rivals.push_back({std::move(one), std::move(recording)});
  }
  return Result<std::vector<Rival>>(std::move(rivals));
}

// Round 0 warms up.
Result<void> take_turns(std::vector<Turn>& turns, int n_rounds) {
  for (int round = 0; round <= n_rounds; ++round) {
    for (Turn& turn : turns) {
      TQ_ASSIGN(const double seconds, turn.seconds());
      if (round > 0) turn.times.seconds.push_back(seconds);
    }
  }
  return {};
}

}  // namespace

Result<DeviceContest> measure_contest(const ContestOptions& options, const MakeSdpa& make_sdpa) {
  const int n_passes = options.n_passes;
  const DeviceCaseOptions& shape = options.shape;
  const int64_t n_rows = static_cast<int64_t>(shape.context) * shape.n_seqs * shape.n_kv_heads;

  TQ_ASSIGN(DeviceCopy copy, DeviceCopy::create(options.copy_bytes));
  std::vector<std::unique_ptr<DeviceCase>> stores;
  for (const KvFormats one : options.formats) {
    DeviceCaseOptions store = shape;
    store.formats = one;
    TQ_ASSIGN(auto made, DeviceCase::create(store));
    stores.push_back(std::move(made));
  }
  const uint64_t sdpa_bytes = 2 * sizeof(uint16_t) * static_cast<uint64_t>(n_rows * shape.head_dim);
  const int n_layers = layers_to_read(shape.read_bytes_min, sdpa_bytes);
  TQ_ASSIGN(SdpaCases sdpa, make_sdpa({.head_dim = shape.head_dim,
                                       .n_kv_heads = shape.n_kv_heads,
                                       .group = shape.group,
                                       .n_seqs = shape.n_seqs,
                                       .context = shape.context,
                                       .n_layers = n_layers}));
  TQ_ASSIGN(std::vector<Rival> rivals, record(std::move(sdpa)));

  std::vector<Turn> turns;
  turns.push_back(
      {{.name = "copy", .bytes = copy.moved_bytes()}, [&] { return copy.seconds(n_passes); }});
  for (Rival& rival : rivals) {
    turns.push_back({{.name = "SDPA " + std::string(rival.sdpa->kernel()), .bytes = sdpa_bytes},
                     [&]() -> Result<double> {
                       TQ_TRY(rival.recording.play(1));
                       TQ_ASSIGN(const double seconds, rival.recording.play(n_passes));
                       return seconds / n_passes / n_layers;
                     }});
  }
  for (const auto& store : stores) {
    turns.push_back({{.name = to_string(store->options().formats), .bytes = store->layer_bytes()},
                     [&] { return store->attend_seconds(n_passes); }});
  }
  TQ_TRY(take_turns(turns, options.n_rounds));

  DeviceContest contest{.context = shape.context, .rows_cached = n_rows};
  contest.copy = std::move(turns[0].times);
  for (size_t i = 1; i < turns.size(); ++i) {
    (i <= rivals.size() ? contest.sdpa : contest.formats).push_back(std::move(turns[i].times));
  }
  return Result<DeviceContest>(std::move(contest));
}

}  // namespace tq::bench
