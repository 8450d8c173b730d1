// The explicit list of model families: no static registration, so nothing depends on link order.

#include <ATen/Parallel.h>

#include <array>
#include <string>

#include "config/check.h"
#include "models/decoder.h"
#include "models/device/device_decoder.h"
#include "models/device/device_llama.h"
#include "models/llama.h"

namespace tq::models {
namespace {

struct Family {
  std::string_view name;
  Result<std::unique_ptr<Decoder>> (*make)(const WeightSource&,
                                           kernels::PagedAttention&,
                                           const DecoderOptions&);
  Result<std::unique_ptr<DeviceDecoder>> (*make_on_device)(const WeightSource&,
                                                           const DeviceKernels&,
                                                           const DeviceDecoderOptions&);
};

constexpr std::array kFamilies{
    Family{"llama", make_llama, make_device_llama},
    Family{"mistral", make_llama, make_device_llama},
    Family{"qwen2", make_llama, make_device_llama},
    Family{"qwen3", make_llama, make_device_llama},
};

Result<Family> find_family(const WeightSource& source) {
  std::string known;
  for (const Family& family : kFamilies) {
    if (family.name == source.spec().family) return family;
    if (!known.empty()) known += ", ";
    known += family.name;
  }
  return Error{Code::kUnsupported,
               "model family '" + source.spec().family + "' is not one of " + known, source.path()};
}

}  // namespace

Result<std::unique_ptr<Decoder>> make_decoder(const WeightSource& source,
                                              kernels::PagedAttention& attention,
                                              const DecoderOptions& options) {
  TQ_CHECK(options.pool != nullptr && options.layer.linear != nullptr, "a decoder needs kernels");
  // All layers run on a pool of ours; LibTorch's, of the whole process, would only fight it for the
  // cores.
  at::set_num_threads(1);
  TQ_ASSIGN(const Family family, find_family(source));
  return family.make(source, attention, options);
}

Result<std::unique_ptr<DeviceDecoder>> make_device_decoder(const WeightSource& source,
                                                           const DeviceKernels& kernels,
                                                           const DeviceDecoderOptions& options) {
  TQ_CHECK(kernels.attention != nullptr && kernels.layers != nullptr && kernels.device != nullptr,
           "a decoder needs kernels");
  TQ_ASSIGN(const Family family, find_family(source));
  return family.make_on_device(source, kernels, options);
}

}  // namespace tq::models
