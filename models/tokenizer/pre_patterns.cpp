#include "models/tokenizer/pre_patterns.h"

#include <algorithm>
#include <array>
#include <string>

// The expressions are facts of published models: each model's tokenizer.json holds the same string.

namespace tq::models::text {
namespace {

constexpr std::string_view kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

constexpr std::array<std::string_view, 1> kGpt2Only = {kGpt2};
constexpr std::array<std::string_view, 2> kDigitsGpt2 = {R"(\p{N})", kGpt2};
constexpr std::array<std::string_view, 4> kDefault = {R"([\p{P}\$\+<=>\^~\|]+)", kGpt2, R"(\p{N}+)",
                                                      "[0-9][0-9][0-9]"};
constexpr std::array<std::string_view, 3> kFalcon = {R"([\p{P}\$\+<=>\^~\|`]+)", kGpt2,
                                                     "[0-9][0-9][0-9]"};
constexpr std::array<std::string_view, 1> kLlama3 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 1> kQwen2 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 1> kQwen35 = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?[\p{L}\p{M}]+|\p{N}|)"
    R"( ?[^\s\p{L}\p{M}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 1> kTekken = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 1> kGpt4o = {
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|)"
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*)"
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}|)"
    R"( ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 6> kDeepseekLlm = {
    R"([\r\n])",
    R"(\s?[A-Za-z\x{B5}\x{C0}-\x{D6}\x{D8}-\x{F6}\x{F8}-\x{1BA}\x{1BC}-\x{1BF})"
    R"(\x{1C4}-\x{293}\x{295}-\x{2AF}\x{370}-\x{373}\x{376}\x{377}\x{37B}-\x{37D}\x{37F})"
    R"(\x{386}\x{388}-\x{38A}\x{38C}\x{38E}-\x{3A1}\x{3A3}-\x{3F5}\x{3F7}-\x{481})"
    R"(\x{48A}-\x{52F}\x{531}-\x{556}\x{10A0}-\x{10C5}\x{13A0}-\x{13F5}\x{13F8}-\x{13FD})"
    R"(\x{1C90}-\x{1CBA}\x{1CBD}-\x{1CBF}\x{1D00}-\x{1D2B}\x{1D6B}-\x{1D77})"
    R"(\x{1D79}-\x{1D9A}\x{1E00}-\x{1F15}\x{1F18}-\x{1F1D}\x{1F20}-\x{1F45})"
    R"(\x{1F48}-\x{1F4D}\x{1F50}-\x{1F57}\x{1F59}\x{1F5B}\x{1F5D}\x{1F5F}-\x{1F7D})"
    R"(\x{1F80}-\x{1FB4}\x{1FB6}-\x{1FBC}\x{1FBE}\x{1FC2}-\x{1FC4}\x{1FC6}-\x{1FCC})"
    R"(\x{1FD0}-\x{1FD3}\x{1FD6}-\x{1FDB}\x{1FE0}-\x{1FEC}\x{1FF2}-\x{1FF4})"
    R"(\x{1FF6}-\x{1FFC}\x{2102}\x{2107}\x{210A}-\x{2113}\x{2115}\x{2119}-\x{211D}\x{2124})"
    R"(\x{2126}\x{2128}\x{212A}-\x{212D}\x{212F}-\x{2134}\x{2139}\x{213C}-\x{213F})"
    R"(\x{2145}-\x{2149}\x{214E}\x{2183}\x{2184}\x{2C00}-\x{2C7B}\x{2C7E}-\x{2CE4})"
    R"(\x{2CEB}-\x{2CEE}\x{2CF2}\x{2CF3}\x{A640}-\x{A66D}\x{A680}-\x{A69B}\x{A722}-\x{A76F})"
    R"(\x{A771}-\x{A787}\x{A78B}-\x{A78E}\x{AB70}-\x{ABBF}\x{FB00}-\x{FB06})"
    R"(\x{FB13}-\x{FB17}\x{FF21}-\x{FF3A}\x{FF41}-\x{FF5A}\x{10400}-\x{1044F})"
    R"(\x{104B0}-\x{104D3}\x{104D8}-\x{104FB}\x{10C80}-\x{10CB2}\x{10CC0}-\x{10CF2})"
    R"(\x{118A0}-\x{118DF}\x{1E900}-\x{1E943}]+)",
    R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
    R"(\s+$)",
    R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)",
    R"(\p{N}+)"};
constexpr std::array<std::string_view, 5> kDeepseekCoder = {
    R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
    R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", R"(\p{N})"};
constexpr std::array<std::string_view, 3> kDeepseekV3 = {
    R"(\p{N}{1,3})", R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 1> kBailing = {
    R"('(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}|)"
    R"( ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+)"};
constexpr std::array<std::string_view, 1> kSeedCoder = {
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1}|)"
    R"( ?[^\s\p{L}\p{N}\r\n]+|\s*[\r\n]+|\s+(?!\S)|\s+)"};

struct Entry {
  std::string_view name;
  NamedPreTokenizer value;
};

constexpr std::array kNamed = {
    Entry{"default", {.patterns = kDefault}},
    Entry{"gpt-2", {.patterns = kGpt2Only}},
    Entry{"phi-2", {.patterns = kGpt2Only}},
    Entry{"mpt", {.patterns = kGpt2Only}},
    Entry{"olmo", {.patterns = kGpt2Only}},
    Entry{"jais", {.patterns = kGpt2Only}},
    Entry{"trillion", {.patterns = kGpt2Only}},
    Entry{"exaone4", {.patterns = kGpt2Only}},
    Entry{"smollm", {.patterns = kDigitsGpt2}},
    Entry{"starcoder", {.patterns = kDigitsGpt2}},
    Entry{"refact", {.patterns = kDigitsGpt2}},
    Entry{"command-r", {.patterns = kDigitsGpt2}},
    Entry{"codeshell", {.patterns = kDigitsGpt2}},
    Entry{"exaone", {.patterns = kDigitsGpt2}},
    Entry{"minerva-7b", {.patterns = kDigitsGpt2}},
    Entry{"falcon", {.patterns = kFalcon}},
    Entry{"llama-bpe", {.patterns = kLlama3, .ignore_merges = true, .add_bos = true}},
    Entry{"llama3", {.patterns = kLlama3, .ignore_merges = true, .add_bos = true}},
    Entry{"llama-v3", {.patterns = kLlama3, .ignore_merges = true, .add_bos = true}},
    Entry{"falcon3", {.patterns = kLlama3, .ignore_merges = true, .add_bos = true}},
    Entry{"pixtral", {.patterns = kLlama3, .ignore_merges = true, .add_bos = true}},
    Entry{"lfm2", {.patterns = kLlama3, .ignore_merges = true, .add_bos = true}},
    Entry{"dbrx", {.patterns = kLlama3}},
    Entry{"smaug-bpe", {.patterns = kLlama3}},
    Entry{"glm4", {.patterns = kLlama3}},
    Entry{"chatglm-bpe", {.patterns = kLlama3}},
    Entry{"qwen2", {.patterns = kQwen2, .nfc = true}},
    Entry{"deepseek-r1-qwen", {.patterns = kQwen2, .nfc = true}},
    Entry{"megrez", {.patterns = kQwen2, .nfc = true}},
    Entry{"stablelm2", {.patterns = kQwen2}},
    Entry{"hunyuan", {.patterns = kQwen2}},
    Entry{"qwen35", {.patterns = kQwen35, .nfc = true}},
    Entry{"tekken", {.patterns = kTekken, .ignore_merges = true, .add_bos = true}},
    Entry{"gpt-4o", {.patterns = kGpt4o}},
    Entry{"llama4", {.patterns = kGpt4o}},
    Entry{"deepseek-llm", {.patterns = kDeepseekLlm}},
    Entry{"deepseek-coder", {.patterns = kDeepseekCoder}},
    Entry{"deepseek-v3", {.patterns = kDeepseekV3}},
    Entry{"hunyuan-dense", {.patterns = kDeepseekV3}},
    Entry{"bailingmoe", {.patterns = kBailing}},
    Entry{"seed-coder", {.patterns = kSeedCoder}},
};

}  // namespace

Result<NamedPreTokenizer> named_pre_tokenizer(std::string_view name) {
  if (name.empty()) name = "default";
  const auto* it = std::find_if(kNamed.begin(), kNamed.end(),
                                [&](const Entry& entry) { return entry.name == name; });
  if (it != kNamed.end()) return it->value;
  std::string known;
  for (const Entry& entry : kNamed) known.append(known.empty() ? "" : ", ").append(entry.name);
  return Error{
      Code::kUnsupported,
      "unknown pre-tokenizer \"" + std::string(name.substr(0, 64)) + "\"; known are " + known,
      "tokenizer.ggml.pre"};
}

}  // namespace tq::models::text
