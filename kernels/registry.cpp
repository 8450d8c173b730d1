#include <string>
#include <vector>

#include "kernels/backend_list.h"
#include "kernels/device_attention.h"
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

struct Need {
  bool (*met)(const BackendEntry&);
  std::string_view unmet;  // said of an entry that runs here but has not what is asked for
};

// The entry of that name, or for "auto" the best that can run here and has what is needed.
Result<BackendEntry> find_entry(std::string_view name, const Need& need) {
  for (const BackendEntry& entry : all_backends()) {
    const bool usable = entry.missing.empty() && need.met(entry);
    if (name == "auto" && usable) return entry;
    if (name != entry.name) continue;
    if (usable) return entry;
    return Error{Code::kUnsupported,
                 "backend '" + std::string(name) + "' cannot run: " +
                     std::string(entry.missing.empty() ? need.unmet : entry.missing) +
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
    if (entry.missing.empty() && entry.make != nullptr) names.push_back(entry.name);
  }
  return names;
}

Result<std::unique_ptr<PagedAttention>> make_backend(std::string_view name,
                                                     const AttentionOptions& options) {
  TQ_ASSIGN(const BackendEntry entry,
            find_entry(name, {[](const BackendEntry& found) { return found.make != nullptr; },
                              "it works in the memory of a device"}));
  return entry.make(options);
}

Result<std::unique_ptr<DeviceAttention>> make_device_backend(std::string_view name,
                                                             const AttentionOptions& options,
                                                             DeviceStream stream) {
  TQ_ASSIGN(
      const BackendEntry entry,
      find_entry(name, {[](const BackendEntry& found) { return found.make_on_device != nullptr; },
                        "it works in ordinary memory"}));
  return entry.make_on_device(options, stream);
}

Result<LayerKernels> find_layer_kernels(std::string_view name) {
  TQ_ASSIGN(
      const BackendEntry entry,
      find_entry(name, {[](const BackendEntry& found) { return found.layer.linear != nullptr; },
                        "not a CPU backend"}));
  return entry.layer;
}

}  // namespace tq::kernels
