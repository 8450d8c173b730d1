#include "models/weights/gguf_source.h"

#include <array>
#include <map>
#include <utility>

#include "models/weights/mapped_file.h"
#include "models/weights/tensor_check.h"

namespace tq::models {
namespace {

struct NamePair {
  std::string_view ggml;
  std::string_view hugging_face;
};

constexpr std::array<NamePair, 3> kModelNames = {{
    {"token_embd", "model.embed_tokens"},
    {"output_norm", "model.norm"},
    {"output", "lm_head"},
}};

// Of a layer: blk.N.<ggml>.{weight,bias}.
constexpr std::array<NamePair, 11> kLayerNames = {{
    {"attn_norm", "input_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
}};

template <size_t kCount>
std::string_view renamed(const std::array<NamePair, kCount>& names, std::string_view ggml) {
  for (const NamePair& pair : names) {
    if (pair.ggml == ggml) return pair.hugging_face;
  }
  return {};
}

class GgufSource final : public WeightSource {
 public:
  GgufSource(MappedFile mapping, GgufFile file, ModelSpec spec)
      : mapping_(std::move(mapping)), file_(std::move(file)), spec_(std::move(spec)) {}

  // Fails where two of ggml's names stand for the same tensor.
  Result<void> index() {
    for (const GgufTensor& tensor : file_.tensors()) {
      if (tensor.name == "rope_freqs.weight") continue;  // part of the spec
      if (!by_name_.emplace(hugging_face_name(tensor.name), &tensor).second) {
        return Error{Code::kCorrupt, "tensor " + shown(tensor.name) + " appears twice", path()};
      }
    }
    return {};
  }

  const ModelSpec& spec() const noexcept override { return spec_; }
  const std::string& path() const noexcept override { return file_.path(); }

  std::optional<WeightView> find(std::string_view name) const override {
    const auto found = by_name_.find(name);
    if (found == by_name_.end()) return std::nullopt;
    const GgufTensor& tensor = *found->second;
    return WeightView{found->first, tensor.type, tensor.shape, tensor.bytes};
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    all.reserve(by_name_.size());
    for (const auto& [name, tensor] : by_name_) all.push_back(name);
    return all;
  }

  void release(const WeightView& weight) const noexcept override {
    if (!mapping_.bytes().empty()) drop_pages(weight.bytes);
  }

  // The converter permutes q and k rows of the llama architecture only.
  bool rope_is_interleaved() const noexcept override { return spec_.family == "llama"; }

 private:
  MappedFile mapping_;
  GgufFile file_;  // views into the mapping
  ModelSpec spec_;
  std::map<std::string, const GgufTensor*, std::less<>> by_name_;
};

Result<std::unique_ptr<WeightSource>> open_parsed(MappedFile mapping,
                                                  std::span<const std::byte> bytes,
                                                  const std::string& path) {
  TQ_ASSIGN(GgufFile file, GgufFile::parse(bytes, path));
  TQ_ASSIGN(ModelSpec spec, gguf_spec(file));
  auto source = std::make_unique<GgufSource>(std::move(mapping), std::move(file), std::move(spec));
  TQ_TRY(source->index());
  TQ_TRY(check_tensors(*source));
  return std::unique_ptr<WeightSource>(std::move(source));
}

}  // namespace

std::string hugging_face_name(std::string_view ggml_name) {
  const size_t dot = ggml_name.rfind('.');
  if (dot == std::string_view::npos) return std::string(ggml_name);
  const std::string_view suffix = ggml_name.substr(dot);  // ".weight"
  std::string_view stem = ggml_name.substr(0, dot);
  constexpr std::string_view kBlock = "blk.";
  if (!stem.starts_with(kBlock)) {
    const std::string_view name = renamed(kModelNames, stem);
    return name.empty() ? std::string(ggml_name) : std::string(name) + std::string(suffix);
  }
  stem.remove_prefix(kBlock.size());
  const size_t middle = stem.find('.');
  if (middle == std::string_view::npos) return std::string(ggml_name);
  const std::string_view name = renamed(kLayerNames, stem.substr(middle + 1));
  if (name.empty()) return std::string(ggml_name);
  return "model.layers." + std::string(stem.substr(0, middle)) + "." + std::string(name) +
         std::string(suffix);
}

Result<std::unique_ptr<WeightSource>> open_gguf(const std::string& path) {
  TQ_ASSIGN(MappedFile mapping, MappedFile::open(path));
  const std::span<const std::byte> bytes = mapping.bytes();
  return open_parsed(std::move(mapping), bytes, path);
}

Result<std::unique_ptr<WeightSource>> open_gguf_bytes(std::span<const std::byte> bytes,
                                                      const std::string& path) {
  return open_parsed(MappedFile(), bytes, path);
}

}  // namespace tq::models
