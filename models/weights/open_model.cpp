// open_model(): which source reads a path.

#include <filesystem>
#include <system_error>

#include "models/weights/gguf_source.h"
#include "models/weights/hf_folder.h"
#include "models/weights/weight_source.h"

namespace tq::models {

Result<std::unique_ptr<WeightSource>> open_model(const std::string& path) {
  std::error_code failed;
  if (!std::filesystem::exists(path, failed)) {
    return Error{Code::kNotFound, "no such file or folder", path};
  }
  if (std::filesystem::is_directory(path, failed)) {
    return open_hf_folder(path);
  }
  if (path.ends_with(".safetensors")) {
    return Error{
        Code::kUnsupported,
        "a safetensors file alone says too little; name the folder that also holds config.json",
        path};
  }
  return open_gguf(path);
}

}  // namespace tq::models
