#pragma once
// Every named maximum that is not a setting. A limit that a user meets is named in the error it
// causes.

#include <cstddef>
#include <cstdint>

namespace tq::limits {

// Wire.
inline constexpr size_t kHeaderBytesMax = 16 * 1024;
inline constexpr size_t kErrorMessageBytesMax = 1024;  // an echoed input never grows an answer
inline constexpr int kStopStringsMax = 16;
inline constexpr size_t kStopStringBytesMax = 256;
inline constexpr int kStopTokensMax = 64;
inline constexpr int kLogitBiasMax = 1024;
inline constexpr int kTopLogprobsMax = 20;
inline constexpr int kChoicesMax = 16;  // n
inline constexpr int kPromptsMax = 64;  // prompts of one /v1/completions call
inline constexpr int kMessagesMax = 4096;

// Model files.
inline constexpr int kVocabMax = 1 << 20;
inline constexpr int kLayersMax = 512;
inline constexpr int kHeadDimMax = 256;
inline constexpr uint64_t kModelHeaderBytesMax = 256ull << 20;
inline constexpr int kTensorRankMax = 4;

// Templates: a template is data from a model file, so its run is bounded.
inline constexpr size_t kTemplateBytesMax = 1 << 20;
inline constexpr size_t kTemplateOutputBytesMax = 16 << 20;
inline constexpr uint64_t kTemplateStepsMax = 5'000'000;
inline constexpr int kTemplateDepthMax = 100;

}  // namespace tq::limits
