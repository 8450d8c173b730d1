# Text <-> token ids, and messages -> prompt. No LibTorch.
tq_library(tq_text
  SOURCES
    tokenizer/tokenizer.cpp
  DEPS
    tq_config
  PRIVATE_DEPS
    nlohmann_json::nlohmann_json
    PkgConfig::PCRE2
    PkgConfig::SENTENCEPIECE
    PkgConfig::UTF8PROC)
