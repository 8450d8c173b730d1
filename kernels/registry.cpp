#include <string>
#include <vector>

#include "kernels/backend_list.h"
#include "kernels/device_attention.h"
#include "kernels/device_layers.h"
#include "kernels/device_select.h"
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

struct Need {
  bool (*met)(const BackendEntry&);
  std::string_view unmet;  // said of an entry that runs here but has not what is asked for
};

constexpr std::string_view kOnDevice = "it works in the memory of a device";
constexpr std::string_view kOnCpu = "it works in ordinary memory";

bool is_usable(const BackendEntry& entry, const Need& need) {
  return entry.missing.empty() && need.met(entry);
}

// What an error offers instead.
std::string list_usable(const Need& need) {
  std::string text;
  for (const BackendEntry& entry : all_backends()) {
    if (!is_usable(entry, need)) continue;
    text += text.empty() ? "auto, " : ", ";
    text += entry.name;
  }
  return "; available: " + (text.empty() ? "none" : text);
}

// The entry of that name, or for "auto" the best that can run here and has what is needed.
Result<BackendEntry> find_entry(std::string_view name, const Need& need) {
  std::string_view reason = name == "auto" ? "nothing here can" : "";
  for (const BackendEntry& entry : all_backends()) {
    const bool usable = is_usable(entry, need);
    if (usable && (name == "auto" || name == entry.name)) return entry;
    if (name == entry.name) reason = entry.missing.empty() ? need.unmet : entry.missing;
  }
  const std::string quoted = "backend '" + std::string(name) + "'";
  if (reason.empty()) {
    return Error{Code::kInvalidArgument, "unknown " + quoted + list_usable(need), "--backend"};
  }
  return Error{Code::kUnsupported,
               quoted + " cannot run: " + std::string(reason) + list_usable(need), "--backend"};
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
  const Need need{[](const BackendEntry& found) { return found.make != nullptr; }, kOnDevice};
  TQ_ASSIGN(const BackendEntry entry, find_entry(name, need));
  return entry.make(options);
}

std::string missing_device_backend() { return std::string(cuda_backend().missing); }

Result<std::unique_ptr<DeviceAttention>> make_device_backend(std::string_view name,
                                                             const AttentionOptions& options,
                                                             DeviceStream stream) {
  const Need need{[](const BackendEntry& found) { return found.make_on_device != nullptr; },
                  kOnCpu};
  TQ_ASSIGN(const BackendEntry entry, find_entry(name, need));
  return entry.make_on_device(options, stream);
}

Result<std::unique_ptr<DeviceLayers>> make_device_layers(std::string_view name,
                                                         DeviceStream stream) {
  const Need need{[](const BackendEntry& found) { return found.make_layers != nullptr; }, kOnCpu};
  TQ_ASSIGN(const BackendEntry entry, find_entry(name, need));
  return entry.make_layers(stream);
}

Result<std::unique_ptr<DeviceSelect>> make_device_select(std::string_view name,
                                                         DeviceStream stream) {
  const Need need{[](const BackendEntry& found) { return found.make_select != nullptr; }, kOnCpu};
  TQ_ASSIGN(const BackendEntry entry, find_entry(name, need));
  return entry.make_select(stream);
}

Result<LayerKernels> find_layer_kernels(std::string_view name) {
  const Need need{[](const BackendEntry& found) { return found.layer.linear != nullptr; },
                  kOnDevice};
  TQ_ASSIGN(const BackendEntry entry, find_entry(name, need));
  return entry.layer;
}

}  // namespace tq::kernels
