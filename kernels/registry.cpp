#include <string>
#include <vector>

#include "kernels/backend_list.h"
#include "kernels/paged_attention.h"

namespace tq::kernels {
namespace {

// Best first of those that work in ordinary memory, then "cuda". "scalar" is last: it is the
// specification, not a way to serve.
std::vector<BackendEntry> all_backends() {
  std::vector<BackendEntry> entries;
  for (const BackendEntry& entry : simd_backends()) entries.push_back(entry);
  entries.push_back(cuda_backend());
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

// The entry of that name, or for "auto" the best in ordinary memory that can run here and has what
// `offers` looks for.
Result<BackendEntry> find_entry(std::string_view name, bool (*offers)(const BackendEntry&)) {
  for (const BackendEntry& entry : all_backends()) {
    const bool usable = entry.missing.empty() && offers(entry);
    if (name == "auto" && usable && !entry.on_device) return entry;
    if (name != entry.name) continue;
    if (usable) return entry;
    return Error{Code::kUnsupported,
                 "backend '" + std::string(name) + "' cannot run: " +
                     std::string(entry.missing.empty() ? "not a CPU backend" : entry.missing) +
                     "; available: auto, " + join_available(),
                 "--backend"};
  }
  return Error{Code::kInvalidArgument,
               "unknown backend '" + std::string(name) + "'; available: auto, " + join_available(),
               "--backend"};
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
  TQ_ASSIGN(const BackendEntry entry, find_entry(name, [](const BackendEntry&) { return true; }));
  return entry.make(options);
}

Result<LayerKernels> find_layer_kernels(std::string_view name) {
  TQ_ASSIGN(const BackendEntry entry, find_entry(name, [](const BackendEntry& found) {
              return found.layer.linear != nullptr;
            }));
  return entry.layer;
}

}  // namespace tq::kernels
