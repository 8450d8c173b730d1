#include <string>
#include <vector>

#include "kernels/backend_list.h"
#include "kernels/paged_attention.h"

namespace tq::kernels {
namespace {

// Best first. "scalar" is last: it is the specification, not a way to serve.
std::vector<BackendEntry> all_backends() {
  std::vector<BackendEntry> entries{cuda_backend()};
  for (const BackendEntry& entry : simd_backends()) entries.push_back(entry);
  entries.push_back(scalar_backend());
  return entries;
}

std::string join_available() {
  std::string text;
  for (const std::string_view name : available_backends()) {
    if (!text.empty()) text += ", ";
    text += name;
  }
  return text;
}

}  // namespace

std::vector<std::string_view> available_backends() {
  std::vector<std::string_view> names;
  for (const BackendEntry& entry : all_backends()) {
    if (entry.missing.empty()) names.push_back(entry.name);
  }
  return names;
}

Result<std::unique_ptr<PagedAttention>> make_backend(std::string_view name,
                                                     const AttentionOptions& options) {
  for (const BackendEntry& entry : all_backends()) {
    if (name != entry.name && !(name == "auto" && entry.missing.empty())) continue;
    if (entry.missing.empty()) return entry.make(options);
    return Error{Code::kUnsupported,
                 "backend '" + std::string(name) + "' cannot run: " + std::string(entry.missing) +
                     "; available: auto, " + join_available(),
                 "--backend"};
  }
  return Error{Code::kInvalidArgument,
               "unknown backend '" + std::string(name) + "'; available: auto, " + join_available(),
               "--backend"};
}

}  // namespace tq::kernels
