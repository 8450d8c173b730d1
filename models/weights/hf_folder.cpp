#include "models/weights/hf_folder.h"

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>
#include <utility>

#include "models/weights/gguf.h"
#include "models/weights/hf_config.h"
#include "models/weights/json_fields.h"
#include "models/weights/mapped_file.h"
#include "models/weights/safetensors.h"
#include "models/weights/tensor_check.h"

namespace tq::models {
namespace {

constexpr const char* kWholeFile = "model.safetensors";
constexpr const char* kIndexFile = "model.safetensors.index.json";

std::string join(const std::string& folder, const std::string& name) {
  return (std::filesystem::path(folder) / name).string();
}

bool exists(const std::string& path) {
  std::error_code failed;
  return std::filesystem::exists(path, failed);
}

Result<std::string> read_text(const std::string& path) {
  TQ_ASSIGN(const MappedFile file, MappedFile::open(path));
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() > kJsonFileBytesMax) {
    return Error{Code::kTooLarge,
                 "the file has " + std::to_string(bytes.size()) + " bytes, the limit is " +
                     std::to_string(kJsonFileBytesMax),
                 path};
  }
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

// Only files of the folder itself: no separators, so neither "../x" nor "/etc/x".
bool is_plain_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.size() <= 255 &&
         name.find('/') == std::string_view::npos && name.find('\\') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

// Shard file name by tensor name.
Result<std::map<std::string, std::string>> read_index(const std::string& path) {
  TQ_ASSIGN(const std::string text, read_text(path));
  TQ_ASSIGN(const nlohmann::json index, parse_json_object(text, path));
  const JsonFields fields(index, path);
  const nlohmann::json* weights = fields.find("weight_map");
  if (weights == nullptr || !weights->is_object()) {
    return fields.error(Code::kCorrupt, "weight_map", "must be an object");
  }
  std::map<std::string, std::string> files;
  for (const auto& [name, file] : weights->items()) {
    if (!file.is_string() || !is_plain_name(file.get_ref<const std::string&>())) {
      return fields.error(Code::kCorrupt, "weight_map",
                          "names no plain file for tensor " + shown(name) +
                              (file.is_string() ? ": " + shown(file.get<std::string>()) : ""));
    }
    files.emplace(name, file.get<std::string>());
  }
  return files;
}

class HfFolder final : public WeightSource {
 public:
  explicit HfFolder(std::string path) : path_(std::move(path)) {}

  Result<void> open() {
    const std::string config = join(path_, "config.json");
    TQ_ASSIGN(const std::string text, read_text(config));
    TQ_ASSIGN(spec_, hf_spec(text, config));
    std::error_code failed;
    const auto absolute = std::filesystem::absolute(path_, failed).lexically_normal();
    spec_.name = (absolute.has_filename() ? absolute : absolute.parent_path()).filename().string();
    TQ_TRY(read_template());
    TQ_TRY(exists(join(path_, kWholeFile)) ? map_whole() : map_shards());
    TQ_TRY(check_spec(spec_, path_));
    return check_tensors(*this);
  }

  const ModelSpec& spec() const noexcept override { return spec_; }
  const std::string& path() const noexcept override { return path_; }
  bool rope_is_interleaved() const noexcept override { return false; }

  std::optional<WeightView> find(std::string_view name) const override {
    const auto found = views_.find(name);
    return found == views_.end() ? std::nullopt : std::optional<WeightView>(found->second);
  }

  std::vector<std::string> names() const override {
    std::vector<std::string> all;
    all.reserve(views_.size());
    for (const auto& [name, view] : views_) all.push_back(name);
    return all;
  }

  void release(const WeightView& weight) const noexcept override { drop_pages(weight.bytes); }

 private:
  Result<void> read_template() {
    // transformers lets the file of its own win over the field.
    const std::string jinja = join(path_, "chat_template.jinja");
    if (exists(jinja)) {
      TQ_ASSIGN(spec_.chat_template, read_text(jinja));
      return {};
    }
    const std::string config = join(path_, "tokenizer_config.json");
    if (!exists(config)) return {};
    TQ_ASSIGN(const std::string text, read_text(config));
    TQ_ASSIGN(spec_.chat_template, hf_chat_template(text, config));
    return {};
  }

  Result<std::vector<WeightView>> map_file(const std::string& name) {
    const std::string path = join(path_, name);
    TQ_ASSIGN(MappedFile mapping, MappedFile::open(path));
    TQ_ASSIGN(std::vector<WeightView> views, parse_safetensors(mapping.bytes(), path));
    mappings_.push_back(std::move(mapping));
    return views;
  }

  Result<void> map_whole() {
    TQ_ASSIGN(std::vector<WeightView> views, map_file(kWholeFile));
    for (WeightView& view : views) {
      std::string name = view.name;
      views_.emplace(std::move(name), std::move(view));
    }
    return {};
  }

  // The index says which shard holds a tensor; what a shard holds beyond it is ignored.
  Result<void> map_shards() {
    const std::string index = join(path_, kIndexFile);
    if (!exists(index)) {
      return Error{
          Code::kNotFound,
          std::string("neither ") + kWholeFile + " nor " + kIndexFile +
              " is there; other formats (pytorch_model.bin) have to be converted to safetensors",
          path_};
    }
    TQ_ASSIGN(const auto files, read_index(index));
    std::set<std::string> shards;
    for (const auto& [name, file] : files) shards.insert(file);
    for (const std::string& shard : shards) {
      TQ_ASSIGN(std::vector<WeightView> views, map_file(shard));
      for (WeightView& view : views) {
        const auto listed = files.find(view.name);
        if (listed == files.end() || listed->second != shard) continue;
        std::string name = view.name;
        views_.emplace(std::move(name), std::move(view));
      }
    }
    for (const auto& [name, file] : files) {
      if (views_.count(name) == 0) {
        return Error{Code::kCorrupt,
                     "weight_map places tensor " + shown(name) + " in " + shown(file) +
                         ", which does not hold it",
                     index};
      }
    }
    return {};
  }

  std::string path_;
  ModelSpec spec_;
  std::vector<MappedFile> mappings_;
  std::map<std::string, WeightView, std::less<>> views_;
};

}  // namespace

Result<std::unique_ptr<WeightSource>> open_hf_folder(const std::string& path) {
  auto folder = std::make_unique<HfFolder>(path);
  TQ_TRY(folder->open());
  return std::unique_ptr<WeightSource>(std::move(folder));
}

}  // namespace tq::models
