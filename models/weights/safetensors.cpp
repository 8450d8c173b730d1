#include "models/weights/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "config/limits.h"
#include "models/weights/block_types.h"
#include "models/weights/gguf.h"

namespace tq::models {
namespace {

constexpr uint64_t kHeaderBytesMax = 100'000'000;  // the reference implementation's limit
static_assert(kHeaderBytesMax <= limits::kModelHeaderBytesMax);

struct Entry {
  std::string name;
  std::string dtype;
  std::vector<uint64_t> shape;
  std::vector<uint64_t> range;  // data_offsets
  bool has_shape = false;
};

// Reads {"name": {"dtype": "F32", "shape": [..], "data_offsets": [b, e]}, "__metadata__": {"k":
// "v"}} and nothing else. A reader of events, so that a hostile header builds no tree and a
// repeated key is seen.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  const std::string& failure() const noexcept { return failure_; }
  std::vector<Entry>& entries() noexcept { return entries_; }

  bool start_object(size_t) override {
    if (state_ == State::kStart) return enter(State::kNames);
    if (state_ == State::kTensor && entries_.back().name.empty()) return fail("an unnamed tensor");
    if (state_ == State::kTensor) return enter(State::kFields);
    if (state_ == State::kMetadata) return enter(State::kMetadataFields);
    return fail("an unexpected object");
  }

  bool key(std::string& text) override {
    if (state_ == State::kNames) return read_name(text);
    if (state_ == State::kMetadataFields) return true;
    if (state_ != State::kFields) return fail("an unexpected key");
    Entry& entry = entries_.back();
    if (text == "dtype" && entry.dtype.empty()) return enter(State::kType);
    if (text == "shape" && !entry.has_shape) return enter(State::kShape);
    if (text == "data_offsets" && entry.range.empty()) return enter(State::kRange);
    return fail("the unknown or repeated field " + shown(text));
  }

  bool string(std::string& text) override {
    if (state_ == State::kMetadataFields) return true;
    if (state_ != State::kType || text.empty()) return fail("an unexpected string");
    entries_.back().dtype = text;
    return enter(State::kFields);
  }

  bool start_array(size_t) override {
    if (state_ == State::kShape) {
      entries_.back().has_shape = true;
      return enter(State::kShapeItems);
    }
    return state_ == State::kRange ? enter(State::kRangeItems) : fail("an unexpected array");
  }

  bool end_array() override { return enter(State::kFields); }

  bool number_unsigned(uint64_t value) override {
    if (state_ == State::kShapeItems) {
      auto& shape = entries_.back().shape;
      shape.push_back(value);
      return shape.size() <= static_cast<size_t>(limits::kTensorRankMax) ||
             fail("too many dimensions");
    }
    if (state_ == State::kRangeItems) {
      auto& range = entries_.back().range;
      range.push_back(value);
      return range.size() <= 2 || fail("more than two data_offsets");
    }
    return fail("an unexpected number");
  }

  bool end_object() override {
    if (state_ == State::kFields) {
      const Entry& entry = entries_.back();
      if (entry.dtype.empty() || !entry.has_shape || entry.range.size() != 2) {
        return fail("too few fields: dtype, shape and two data_offsets are needed");
      }
      return enter(State::kNames);
    }
    return enter(state_ == State::kMetadataFields ? State::kNames : State::kEnd);
  }

  bool null() override { return fail("an unexpected null"); }
  bool boolean(bool) override { return fail("an unexpected bool"); }
  bool number_integer(int64_t) override { return fail("a negative number"); }
  bool number_float(double, const std::string&) override { return fail("a fractional number"); }
  bool binary(nlohmann::json::binary_t&) override { return fail("binary data"); }
  bool parse_error(size_t position, const std::string&, const nlohmann::json::exception&) override {
    return fail("no valid JSON near byte " + std::to_string(position));
  }

 private:
  enum class State {
    kStart,
    kNames,
    kTensor,
    kFields,
    kType,
    kShape,
    kShapeItems,
    kRange,
    kRangeItems,
    kMetadata,
    kMetadataFields,
    kEnd,
  };

  bool enter(State state) {
    state_ = state;
    return true;
  }

  bool fail(const std::string& message) {
    if (!failure_.empty()) return false;
    const bool in_tensor = !entries_.empty() && state_ != State::kNames;
    failure_ = in_tensor ? "tensor " + shown(entries_.back().name) + ": " + message : message;
    return false;
  }

  bool read_name(const std::string& text) {
    if (!names_.insert(text).second) return fail("the name " + shown(text) + " appears twice");
    if (text == "__metadata__") return enter(State::kMetadata);
    entries_.emplace_back().name = text;
    return enter(State::kTensor);
  }

  State state_ = State::kStart;
  std::vector<Entry> entries_;
  std::set<std::string> names_;
  std::string failure_;
};

std::optional<WeightType> weight_type(std::string_view dtype) noexcept {
  if (dtype == "F32") return WeightType::kF32;
  if (dtype == "F16") return WeightType::kF16;
  if (dtype == "BF16") return WeightType::kBF16;
  return std::nullopt;
}

Result<WeightView> place(const Entry& entry,
                         std::span<const std::byte> data,
                         uint64_t data_begin,
                         const std::string& path) {
  const std::string what = "tensor " + shown(entry.name);
  const std::optional<WeightType> type = weight_type(entry.dtype);
  if (!type) {
    return Error{Code::kUnsupported,
                 what + " has the type " + shown(entry.dtype) + "; read are F32, F16 and BF16",
                 path};
  }
  WeightView view{.name = entry.name, .type = *type, .shape = {}, .bytes = {}};
  for (const uint64_t size : entry.shape) {
    // Beyond int64 stays negative, which tensor_bytes() refuses.
    view.shape.push_back(size <= INT64_MAX ? static_cast<int64_t>(size) : -1);
  }
  const std::optional<int64_t> size = tensor_bytes(*type, view.shape);
  const uint64_t begin = entry.range[0];
  const uint64_t end = entry.range[1];
  if (begin > end || end > data.size()) {
    return Error{Code::kCorrupt,
                 what + " takes data bytes " + std::to_string(begin) + " to " +
                     std::to_string(end) + ", the file has " + std::to_string(data.size()) +
                     " from byte " + std::to_string(data_begin),
                 path};
  }
  if (!size || end - begin != static_cast<uint64_t>(*size)) {
    return Error{Code::kCorrupt,
                 what + " has " + std::to_string(end - begin) + " bytes at byte " +
                     std::to_string(data_begin + begin) + ", its shape asks for " +
                     (size ? std::to_string(*size) : "more than fits in memory"),
                 path};
  }
  view.bytes = data.subspan(begin, end - begin);
  return view;
}

// The format wants the data covered exactly once.
Result<void> check_cover(const std::vector<Entry>& entries,
                         uint64_t data_size,
                         uint64_t data_begin,
                         const std::string& path) {
  std::vector<const Entry*> by_offset;
  by_offset.reserve(entries.size());
  for (const Entry& entry : entries) by_offset.push_back(&entry);
  std::sort(by_offset.begin(), by_offset.end(),
            [](const Entry* a, const Entry* b) { return a->range < b->range; });
  uint64_t covered = 0;
  for (const Entry* entry : by_offset) {
    if (entry->range[0] != covered) {
      return Error{Code::kCorrupt,
                   "tensor " + shown(entry->name) + " starts at byte " +
                       std::to_string(data_begin + entry->range[0]) + ", " +
                       (entry->range[0] < covered ? "inside another tensor" : "after a gap"),
                   path};
    }
    covered = entry->range[1];
  }
  if (covered != data_size) {
    return Error{Code::kCorrupt,
                 "the tensors end at byte " + std::to_string(data_begin + covered) +
                     ", the file at byte " + std::to_string(data_begin + data_size),
                 path};
  }
  return {};
}

}  // namespace

Result<std::vector<WeightView>> parse_safetensors(std::span<const std::byte> file,
                                                  const std::string& path) {
  uint64_t header_bytes = 0;
  if (file.size() < sizeof(header_bytes)) {
    return Error{Code::kCorrupt, "the file ends inside the header's length at byte 0", path};
  }
  std::memcpy(&header_bytes, file.data(), sizeof(header_bytes));
  const uint64_t left = file.size() - sizeof(header_bytes);
  if (header_bytes > left || header_bytes > kHeaderBytesMax) {
    return Error{Code::kCorrupt,
                 "the header at byte 0 claims " + std::to_string(header_bytes) + " bytes, " +
                     (header_bytes > left ? std::to_string(left) + " are left"
                                          : "the limit is " + std::to_string(kHeaderBytesMax)),
                 path};
  }
  const char* text = reinterpret_cast<const char*>(file.data()) + sizeof(header_bytes);
  HeaderReader reader;
  if (!nlohmann::json::sax_parse(text, text + header_bytes, &reader)) {
    return Error{Code::kCorrupt, "the header at byte 8 holds " + reader.failure(), path};
  }
  const uint64_t data_begin = sizeof(header_bytes) + header_bytes;
  const std::span<const std::byte> data = file.subspan(data_begin);
  std::vector<WeightView> views;
  views.reserve(reader.entries().size());
  for (const Entry& entry : reader.entries()) {
    TQ_ASSIGN(WeightView view, place(entry, data, data_begin, path));
    views.push_back(std::move(view));
  }
  TQ_TRY(check_cover(reader.entries(), data.size(), data_begin, path));
  return views;
}

}  // namespace tq::models
