#include "models/tokenizer/stop_tokens.h"

#include <algorithm>
#include <array>

namespace tq::models::text {
namespace {

constexpr std::array<std::string_view, 15> kEndsOfTurn = {
    "<|im_end|>",             // ChatML: Qwen, SmolLM
    "<|eot_id|>",             // Llama 3
    "<|eom_id|>",             // Llama 3, before a tool's answer
    "<|eot|>",                // Llama 4
    "<|eom|>",                // Llama 4
    "<end_of_turn>",          // Gemma
    "<|end|>",                // Phi 3
    "<|endoftext|>",          // GPT-2 and its heirs
    "<|end_of_text|>",        // Llama 3 base, Granite
    "<|endofturn|>",          // HyperCLOVA, EXAONE
    "<|END_OF_TURN_TOKEN|>",  // Command R
    "<|return|>",             // gpt-oss
    "<|call|>",               // gpt-oss, before a tool's answer
    "<end_of_utterance>",     // SmolVLM
    "<｜end▁of▁sentence｜>",  // DeepSeek
};

constexpr std::array<std::string_view, 6> kEosGuesses = {
    "</s>", "<|end_of_text|>", "<|endoftext|>", "<eos>", "<｜end▁of▁sentence｜>", "<|im_end|>",
};

}  // namespace

void add_stop_tokens(const FindControl& find, SpecialTokens& special) {
  const auto add = [&](TokenId id) {
    const auto& stop = special.stop;
    if (id >= 0 && std::find(stop.begin(), stop.end(), id) == stop.end()) {
      special.stop.push_back(id);
    }
  };
  add(special.eos);
  // In gpt-oss <|end|> closes one message of several in a turn.
  const bool end_is_inner = find("<|return|>") >= 0 && find("<|call|>") >= 0;
  for (const std::string_view name : kEndsOfTurn) {
    if (name == "<|end|>" && end_is_inner) continue;
    add(find(name));
  }
}

TokenId guess_eos(const FindControl& find) {
  for (const std::string_view name : kEosGuesses) {
    if (const TokenId id = find(name); id >= 0) return id;
  }
  return -1;
}

}  // namespace tq::models::text
