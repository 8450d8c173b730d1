#pragma once
// DeviceSelect: what sampling needs of rows of logits that lie on a device, without a copy of the
// rows: they are long, and what is drawn from is short. Bias and penalties are applied; then each
// query learns its row's largest logits, the sum of its tokens' weights, and the token that a
// number in [0, 1) falls on. Engine thread only.

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "config/ids.h"
#include "config/result.h"
#include "kernels/device_layers.h"
#include "kernels/token_weight.h"

namespace tq::kernels {

inline constexpr int32_t kSelectTopMax = 512;

struct RowQuery {
  int32_t row = 0;
  int32_t n_top = 1;    // the largest logits that are wanted, at most kSelectTopMax
  float factor = 0.0f;  // of token_weight(); 0: weights are not wanted
  // In [0, 1), with a factor: the first token, by id, with which the sum of weights exceeds
  // u * total. Negative: none is wanted.
  double u = -1.0;
};

struct TokenLogit {
  TokenId token = 0;
  float logit = 0.0f;
};

struct RowAnswer {
  bool is_finite = true;  // all of the row, before changes; if not, the rest says nothing
  float max = kExcludedLogit;
  double total = 0.0;  // of all weights, exact
  TokenId drawn = -1;  // -1: none
  float drawn_logit = 0.0f;
  // n_top or more tokens, in no order, none excluded: all whose logit is not below the least of
  // these. Fewer: the row has no more. Empty: none, or too many logits are alike.
  std::span<const TokenLogit> top{};
};

struct SelectCall {
  float* logits = nullptr;  // [n_rows, row_size]; changed in place
  int32_t n_rows = 0;
  int32_t row_size = 0;
  int32_t n_tokens = 0;                     // the first of each row that may be drawn
  std::span<const RowQuery> raw_queries{};  // answered before the changes
  std::span<const LogitChange> changes{};   // at most one of a row's token
  std::span<const RowQuery> queries{};
};

// Errors name the field that is out of range, null or badly aligned.
class DeviceSelect {
 public:
  virtual ~DeviceSelect() = default;

  // Puts all of it on the stream. The caller waits for that before it looks at what came of it,
  // and before the next call, until which that is valid.
  virtual Result<void> select(const SelectCall& call) = 0;
  virtual RowAnswer raw_answer(size_t query) const = 0;
  virtual RowAnswer answer(size_t query) const = 0;
  virtual std::span<const float> raw_logits() const = 0;  // of the changes' tokens, before them

  // `n` of a row's logits, in ordinary memory until the next call; waits for them.
  virtual Result<std::span<float>> fetch(const float* row, int32_t n) = 0;
};

// For the device of make_device_backend(), on this stream.
Result<std::unique_ptr<DeviceSelect>> make_device_select(std::string_view name,
                                                         DeviceStream stream);

}  // namespace tq::kernels
