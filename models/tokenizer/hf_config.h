#pragma once
// What the files beside tokenizer.json say about special tokens: tokenizer_config.json and
// generation_config.json, both optional. Start-up only.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/ids.h"
#include "config/result.h"

namespace tq::models::text {

struct HfConfig {
  std::string bos_token;  // texts; empty: not named
  std::string eos_token;
  std::string pad_token;
  std::string unk_token;
  std::optional<bool> add_bos;  // add_bos_token, where the tokenizer's class heeds it
  std::optional<bool> add_eos;
  std::vector<TokenId> eos_ids;  // generation_config.json
};

Result<HfConfig> read_hf_config(std::string_view tokenizer_config_json,
                                std::string_view generation_config_json);

}  // namespace tq::models::text
