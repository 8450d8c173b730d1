#include "config/kv_config.h"

#include <array>
#include <optional>

namespace tq {
namespace {

constexpr std::array kFormats{KvFormat::kBf16, KvFormat::kTq8, KvFormat::kTq4, KvFormat::kTq3,
                              KvFormat::kTq2};

constexpr std::array kPresets{
    KvPreset{"quality", {KvFormat::kTq8, KvFormat::kTq4}},
    KvPreset{"balanced", {KvFormat::kTq4, KvFormat::kTq4}},
    KvPreset{"small", {KvFormat::kTq4, KvFormat::kTq3}},
};
static_assert(kPresets[1].formats == KvFormats{});

std::optional<KvFormat> find_format(std::string_view name) {
  for (const KvFormat format : kFormats) {
    if (name == to_string(format)) return format;
  }
  return std::nullopt;
}

Error unknown_format(std::string_view text, std::string_view part) {
  return Error{Code::kInvalidArgument,
               "unknown KV format '" + std::string(part) + "' in '" + std::string(text) +
                   "'; one of " + kv_format_names(),
               "--kv"};
}

}  // namespace

std::string_view to_string(KvFormat format) noexcept {
  switch (format) {
    case KvFormat::kBf16: return "bf16";
    case KvFormat::kTq8: return "tq8";
    case KvFormat::kTq4: return "tq4";
    case KvFormat::kTq3: return "tq3";
    case KvFormat::kTq2: return "tq2";
  }
  return "unknown";
}

std::string to_string(KvFormats formats) {
  std::string text(to_string(formats.k));
  if (formats.v != formats.k) {
    text += '/';
    text += to_string(formats.v);
  }
  return text;
}

std::span<const KvPreset> kv_presets() noexcept { return kPresets; }

std::string kv_format_names() {
  std::string names;
  for (const KvFormat format : kFormats) names.append(to_string(format)).append(", ");
  for (const KvPreset& preset : kPresets) names.append(preset.name).append(", ");
  return names + "or a pair K/V such as tq4/tq3";
}

Result<KvFormats> parse_kv_formats(std::string_view text) {
  for (const KvPreset& preset : kPresets) {
    if (text == preset.name) return preset.formats;
  }
  const size_t slash = text.find('/');
  const std::string_view k_name = text.substr(0, slash);
  const std::string_view v_name = slash == std::string_view::npos ? k_name : text.substr(slash + 1);
  const auto k = find_format(k_name);
  if (!k) return unknown_format(text, k_name);
  const auto v = find_format(v_name);
  if (!v) return unknown_format(text, v_name);
  return KvFormats{*k, *v};
}

}  // namespace tq
