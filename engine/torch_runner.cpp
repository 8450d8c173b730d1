#include "engine/torch_runner.h"

#include <ATen/core/grad_mode.h>
#include <sched.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <string>
#include <utility>

#include "engine/select_logits.h"
#include "kernels/device_attention.h"
#include "kernels/device_select.h"
#include "models/device/device_decoder.h"
#include "models/device/device_sizes.h"
#include "models/device/device_weights.h"
#include "models/device/torch_device.h"
#include "models/packed_weights.h"

namespace tq::engine {

namespace {

// What config.threads stands for: itself, or the cores that this process may use.
int compute_threads(const EngineConfig& config) noexcept {
  if (config.threads > 0) return config.threads;
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return 1;
  return std::max(1, CPU_COUNT(&allowed));
}

kernels::AttentionOptions attention_options(const EngineConfig& config,
                                            const models::ModelSpec& spec) {
  return {.shape = {.n_layers = spec.n_layers,
                    .n_kv_heads = spec.n_kv_heads,
                    .head_dim = spec.head_dim},
          .kv = config.kv,
          .n_heads = spec.n_heads};
}

}  // namespace

Result<quant::BlockLayout> TorchRunner::plan_layout(const EngineConfig& config,
                                                    const models::ModelSpec& spec) {
  return quant::BlockLayout::create(attention_options(config, spec).shape, config.kv.formats,
                                    config.kv.block_tokens);
}

Result<MemoryFacts> TorchRunner::memory_facts(const EngineConfig& config,
                                              const models::WeightSource& source,
                                              const models::DeviceFacts& device,
                                              uint64_t host_bytes) {
  const models::ModelSpec& spec = source.spec();
  MemoryFacts facts{.model_context_max = spec.context_max};
  if (!device.is_cuda) {
    facts.weight_bytes = models::packed_bytes(source, config.dtype);
    facts.available_bytes = host_bytes;
    return facts;
  }
  TQ_TRY(models::check_device_sizes(source));
  if (config.step_tokens_max > kernels::kDeviceRowsMax) {
    return Error{Code::kInvalidArgument,
                 "a step on a device has at most " + std::to_string(kernels::kDeviceRowsMax) +
                     " tokens, not " + std::to_string(config.step_tokens_max),
                 "--step-tokens"};
  }
  facts.weight_bytes = models::device_weight_bytes(source, config.dtype);
  facts.workspace_bytes =
      models::device_workspace_bytes(spec, config.dtype, config.step_tokens_max, config.seqs_max);
  // What others hold of the device is not ours to take.
  const auto share = static_cast<uint64_t>(static_cast<double>(device.total_bytes) *
                                           config.gpu_memory_utilization);
  const uint64_t others = device.total_bytes - device.free_bytes;
  facts.available_bytes = share > others ? share - others : 1;  // 0 would be "unknown"
  facts.host_bytes = host_bytes;
  facts.kv_share = 1.0;
  return facts;
}

struct TorchRunner::Machine {
  std::unique_ptr<kernels::cpu::ThreadPool> pool;  // CPU: attention and linear layers share it
  std::unique_ptr<models::TorchDevice> device;     // else
  kernels::DeviceAttention* on_device = nullptr;   // the runner's own, as the decoder
  models::DeviceDecoder* decoder = nullptr;
  std::unique_ptr<kernels::DeviceLayers> layers;
  std::unique_ptr<kernels::DeviceSelect> select;
  std::unique_ptr<SelectLogits> logits;
  std::optional<kernels::KvArena> host_arena;  // where there is swap space
};

TorchRunner::TorchRunner(std::unique_ptr<Machine> machine,
                         std::unique_ptr<kernels::PagedAttention> attention,
                         kernels::KvArena arena,
                         std::unique_ptr<models::Decoder> decoder)
    : machine_(std::move(machine)),
      attention_(std::move(attention)),
      arena_(std::move(arena)),
      decoder_(std::move(decoder)) {}

TorchRunner::~TorchRunner() = default;

Result<std::unique_ptr<TorchRunner>> TorchRunner::create(const EngineConfig& config,
                                                         const models::WeightSource& source,
                                                         const models::DeviceFacts& device,
                                                         const MemoryPlan& memory) {
  try {
    return device.is_cuda ? create_on_cuda(config, source, memory)
                          : create_on_cpu(config, source, memory.pools);
  } catch (const std::exception& failure) {
    return Error{Code::kInternal, std::string("loading the model: ") + failure.what(),
                 source.path()};
  }
}

Result<std::unique_ptr<TorchRunner>> TorchRunner::create_on_cpu(const EngineConfig& config,
                                                                const models::WeightSource& source,
                                                                kernels::PoolSizes pools) {
  auto machine = std::make_unique<Machine>();
  machine->pool = std::make_unique<kernels::cpu::ThreadPool>(compute_threads(config));
  kernels::AttentionOptions options = attention_options(config, source.spec());
  options.pool = machine->pool.get();
  TQ_ASSIGN(auto attention, kernels::make_backend(config.backend, options));
  TQ_ASSIGN(const kernels::LayerKernels layer_kernels,
            kernels::find_layer_kernels(attention->name()));
  TQ_ASSIGN(auto decoder, models::make_decoder(source, *attention,
                                               {.dtype = config.dtype,
                                                .layer = layer_kernels,
                                                .pool = machine->pool.get(),
                                                .positions_max = config.context_max}));
  TQ_ASSIGN(auto arena, attention->allocate(pools));
  return std::unique_ptr<TorchRunner>(new TorchRunner(std::move(machine), std::move(attention),
                                                      std::move(arena), std::move(decoder)));
}

Result<std::unique_ptr<TorchRunner>> TorchRunner::create_on_cuda(const EngineConfig& config,
                                                                 const models::WeightSource& source,
                                                                 const MemoryPlan& memory) {
  constexpr std::string_view kBackend = "cuda";
  auto machine = std::make_unique<Machine>();
  TQ_ASSIGN(machine->device, models::make_cuda_device());
  const kernels::DeviceStream stream = machine->device->stream();
  TQ_ASSIGN(auto attention, kernels::make_device_backend(
                                kBackend, attention_options(config, source.spec()), stream));
  machine->on_device = attention.get();
  TQ_ASSIGN(machine->layers, kernels::make_device_layers(kBackend, stream));
  TQ_ASSIGN(machine->select, kernels::make_device_select(kBackend, stream));
  machine->logits = std::make_unique<SelectLogits>(
      *machine->select, [device = attention.get()] { return device->wait(); });
  TQ_ASSIGN(auto decoder, models::make_device_decoder(source,
                                                      {.attention = attention.get(),
                                                       .layers = machine->layers.get(),
                                                       .device = machine->device.get()},
                                                      {.dtype = config.dtype,
                                                       .positions_max = config.context_max,
                                                       .rows_max = config.step_tokens_max}));
  machine->decoder = decoder.get();
  TQ_ASSIGN(auto arena, attention->allocate(memory.pools));
  if (memory.swap_bytes != 0) {
    auto host_arena = attention->allocate_host(memory.host_pools);
    if (!host_arena.ok()) {
      return Error{host_arena.error().code, host_arena.error().message, "--swap-space"};
    }
    machine->host_arena.emplace(std::move(host_arena).value());
  }
  return std::unique_ptr<TorchRunner>(new TorchRunner(std::move(machine), std::move(attention),
                                                      std::move(arena), std::move(decoder)));
}

kernels::PoolSizes TorchRunner::host_pools() const noexcept {
  return machine_->host_arena ? machine_->host_arena->sizes() : kernels::PoolSizes{};
}

int TorchRunner::vocab_size() const noexcept { return decoder_->spec().vocab_size; }

Result<StepLogits> TorchRunner::run(const StepPlan& plan, const Meanwhile& meanwhile) {
  try {
    return run_checked(plan, meanwhile);
  } catch (
      const std::exception& failure) {  // LibTorch, or no memory: the step fails, not the process
    if (machine_->on_device != nullptr) TQ_TRY(machine_->on_device->wait());  // is the device lost?
    return Error{Code::kInternal, std::string("model step: ") + failure.what(), ""};
  }
}

Result<void> TorchRunner::swap(const StepPlan& plan) {
  const SwapOps& out = plan.swaps_out;
  const SwapOps& in = plan.swaps_in;
  if (out.empty() && in.empty()) return {};
  TQ_CHECK(machine_->host_arena.has_value(), "blocks are swapped without swap space");
  const kernels::KvArena* const host = &*machine_->host_arena;
  kernels::DeviceAttention& device = *machine_->on_device;
  TQ_TRY(device.copy_blocks({.from = &arena_, .to = host, .hot = out.hot, .sealed = out.sealed}));
  return device.copy_blocks({.from = host, .to = &arena_, .hot = in.hot, .sealed = in.sealed});
}

Result<StepLogits> TorchRunner::run_checked(const StepPlan& plan, const Meanwhile& meanwhile) {
  if (machine_->decoder == nullptr) meanwhile();
  const at::NoGradGuard no_grad;
  // What the last step reads is about to change. It was waited for, unless it failed after that,
  // and then what it reports late is no concern of this one's.
  if (machine_->logits) {
    const Result<void> late = machine_->logits->finish();
    if (!late && late.error().code == Code::kUnavailable) return late.error();
  }
  TQ_TRY(swap(plan));
  for (const SealOp& op : plan.seals) {
    TQ_TRY(attention_->seal({.arena = &arena_, .hot = op.hot, .sealed = op.sealed}));
  }
  fill_batch(plan);
  if (batch_.n_tokens == 0) return StepLogits{};
  TQ_ASSIGN(const kernels::AttnPlan* attn_plan, attention_->plan(batch_, arena_));
  const models::DecoderInput input{.tokens = tokens_,
                                   .positions = positions_,
                                   .logit_rows = logit_rows_,
                                   .plan = attn_plan,
                                   .arena = &arena_};
  if (machine_->decoder == nullptr) {
    TQ_ASSIGN(const auto logits, decoder_->forward(input));
    return StepLogits{.values = logits};
  }
  SelectLogits& on_device = *machine_->logits;
  TQ_ASSIGN(const auto logits, machine_->decoder->forward_on_device(input));
  on_device.begin(logits, vocab_size());
  meanwhile();
  if (logits.empty()) TQ_TRY(on_device.finish());  // nobody will ask
  return StepLogits{.on_device = &on_device};
}

void TorchRunner::fill_batch(const StepPlan& plan) {
  batch_.n_seqs = static_cast<int32_t>(plan.items.size());
  batch_.token_indptr.assign(1, 0);
  batch_.first_position.clear();
  batch_.hot_indptr.assign(1, 0);
  batch_.hot_blocks.clear();
  batch_.hot_first.clear();
  batch_.sealed_indptr.assign(1, 0);
  batch_.sealed_blocks.clear();
  tokens_.clear();
  positions_.clear();
  logit_rows_.clear();
  for (const StepItem& item : plan.items) {
    tokens_.insert(tokens_.end(), item.tokens.begin(), item.tokens.end());
    for (size_t i = 0; i < item.tokens.size(); ++i) {
      positions_.push_back(item.first + static_cast<int32_t>(i));
    }
    batch_.token_indptr.push_back(static_cast<int32_t>(tokens_.size()));
    batch_.first_position.push_back(item.first);
    batch_.hot_blocks.insert(batch_.hot_blocks.end(), item.hot_blocks.begin(),
                             item.hot_blocks.end());
    batch_.hot_first.insert(batch_.hot_first.end(), item.hot_first.begin(), item.hot_first.end());
    batch_.hot_indptr.push_back(static_cast<int32_t>(batch_.hot_blocks.size()));
    batch_.sealed_blocks.insert(batch_.sealed_blocks.end(), item.sealed_blocks.begin(),
                                item.sealed_blocks.end());
    batch_.sealed_indptr.push_back(static_cast<int32_t>(batch_.sealed_blocks.size()));
    if (item.sample) logit_rows_.push_back(static_cast<int32_t>(tokens_.size()) - 1);
  }
  batch_.n_tokens = static_cast<int32_t>(tokens_.size());
}

}  // namespace tq::engine
