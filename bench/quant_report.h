#pragma once
// What `turboquant-bench quant` measured, as Markdown tables, JSON and figures. Main thread only.

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "bench/quant_accuracy.h"
#include "bench/quant_speed.h"
#include "config/result.h"

namespace tq::bench {

struct QuantTables {
  std::vector<AccuracyRow> accuracy;
  std::vector<SpikeRow> spikes;
  std::vector<SpeedRow> speed;
};

void print_tables(const QuantTables& tables);
nlohmann::json to_json(const QuantTables& tables);

// distortion.svg, inner_product.svg and bias.svg in the folder, which is made where it is missing.
// Errors: the folder or a file cannot be written; accuracy was not measured.
Result<void> write_figures(const QuantTables& tables, const std::string& folder);

}  // namespace tq::bench
