# Model files, without LibTorch.
tq_library(tq_weights
  SOURCES
    weights/block_types.cpp
    weights/dequant.cpp
    weights/gguf.cpp
    weights/gguf_access.cpp
    weights/gguf_source.cpp
    weights/gguf_spec.cpp
    weights/gguf_vocab.cpp
    weights/hf_config.cpp
    weights/hf_folder.cpp
    weights/mapped_file.cpp
    weights/open_model.cpp
    weights/safetensors.cpp
    weights/tensor_check.cpp
  DEPS tq_config nlohmann_json::nlohmann_json)

# Decoded weights equal ggml's reference bit for bit only if products and sums round separately.
set_source_files_properties(weights/dequant.cpp PROPERTIES COMPILE_OPTIONS -ffp-contract=off)
