#include "bench/quant_report.h"

#include <cstdio>
#include <nlohmann/json.hpp>

#include "bench/results.h"

namespace tq::bench {
namespace {

using nlohmann::json;

// 0: none stated.
std::string stated(double value, const char* pattern) {
  return value == 0.0 ? "–" : format(pattern, value);
}

std::string with_interval(const Estimate& estimate) {
  return stated(estimate.mean, "%.5f") + " ± " + stated(estimate.half_width, "%.5f");
}

// The paper's statements, each beside what was measured: Algorithm 1 with its own scale and
// Algorithm 2, which come as "mse plain" and "ip" of the same dimension and bits.
void print_paper(const std::vector<AccuracyRow>& rows) {
  std::puts(
      "\nThe paper: D = E |x - x~|^2 of Algorithm 1, P = d · E (<q, x~> - <q, x>)^2 of Algorithm "
      "2; "
      "± is 95 %:\n\n"
      "| d | b | D | exact | Theorem 1 | 4^-b | P | π/2·D(b-1) | Theorem 2 | 4^-b | slope, Alg. 1 "
      "| 1 - D | slope, Alg. 2 |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|");
  for (const AccuracyRow& mse : rows) {
    if (mse.quantiser != "mse plain") continue;
    for (const AccuracyRow& ip : rows) {
      if (ip.quantiser != "ip" || ip.dim != mse.dim || ip.bits != mse.bits) continue;
      const std::string lower = stated(lower_bound(mse.bits), "%.5f");
      std::printf("| %d | %d | %s | %.5f | %.5f | %s | %s | %.5f | %.4f | %s | %s | %.5f | %s |\n",
                  mse.dim, mse.bits, with_interval(mse.mse).c_str(), mse.mse_theory, mse.mse_bound,
                  lower.c_str(), with_interval(ip.error_square).c_str(), ip.error_theory,
                  ip.error_bound, lower.c_str(), with_interval(mse.slope).c_str(), mse.slope_theory,
                  with_interval(ip.slope).c_str());
    }
  }
}

void print_accuracy(const std::vector<AccuracyRow>& rows) {
  std::puts(
      "\nEvery quantiser and scale:\n\n"
      "| quantiser | d | b | bits/value | rel. MSE (95 %) | theory | slope of <q,x~> on <q,x> | "
      "theory | d·E e² | theory |\n"
      "|---|---|---|---|---|---|---|---|---|---|");
  for (const AccuracyRow& row : rows) {
    std::printf("| %s | %d | %d | %.4f | %s | %s | %s | %s | %s | %s |\n", row.quantiser.c_str(),
                row.dim, row.bits, row.bits_per_value, with_interval(row.mse).c_str(),
                stated(row.mse_theory, "%.5f").c_str(), with_interval(row.slope).c_str(),
                stated(row.slope_theory, "%.5f").c_str(),
                stated(row.error_square.mean, "%.5f").c_str(),
                stated(row.error_theory, "%.5f").c_str());
  }
}

void print_spikes(const std::vector<SpikeRow>& rows) {
  std::puts(
      "\nRelative MSE of vectors with a few equal spikes, by Hadamard rounds:\n\n"
      "| d | b | spikes | one round | two rounds | theory |\n|---|---|---|---|---|---|");
  for (const SpikeRow& row : rows) {
    std::printf("| %d | %d | %d | %s | %s | %.5f |\n", row.dim, row.bits, row.n_spikes,
                with_interval(row.one_round).c_str(), with_interval(row.two_rounds).c_str(),
                row.theory);
  }
}

void print_speed(const std::vector<SpeedRow>& rows) {
  std::puts(
      "\nOne thread, rotation included; bytes against 2·d of bf16:\n\n"
      "| quantiser | d | b | encode, 1000/s | decode, 1000/s | score, 1000/s | bytes/row | of bf16 "
      "|\n"
      "|---|---|---|---|---|---|---|---|");
  for (const SpeedRow& row : rows) {
    std::printf("| %s | %d | %d | %s | %s | %s | %.0f | %.3f |\n", row.what, row.dim, row.bits,
                stated(row.encode_per_s / 1e3, "%.0f").c_str(),
                stated(row.decode_per_s / 1e3, "%.0f").c_str(),
                stated(row.score_per_s / 1e3, "%.0f").c_str(), row.row_bytes,
                row.row_bytes / (2.0 * row.dim));
  }
}

json to_json(const Estimate& estimate) {
  return {{"mean", estimate.mean}, {"half_width_95", estimate.half_width}};
}

}  // namespace

void print_tables(const QuantTables& tables) {
  if (!tables.accuracy.empty()) {
    print_paper(tables.accuracy);
    print_accuracy(tables.accuracy);
  }
  if (!tables.spikes.empty()) print_spikes(tables.spikes);
  if (!tables.speed.empty()) print_speed(tables.speed);
}

json to_json(const QuantTables& tables) {
  json out{{"benchmark", "quant"}};
  for (const AccuracyRow& row : tables.accuracy) {
    out["accuracy"].push_back({{"quantiser", row.quantiser},
                               {"dim", row.dim},
                               {"bits", row.bits},
                               {"bits_per_value", row.bits_per_value},
                               {"mse", to_json(row.mse)},
                               {"mse_theory", row.mse_theory},
                               {"mse_bound", row.mse_bound},
                               {"slope", to_json(row.slope)},
                               {"slope_theory", row.slope_theory},
                               {"error", to_json(row.error)},
                               {"error_square_times_dim", to_json(row.error_square)},
                               {"error_theory_times_dim", row.error_theory},
                               {"error_bound_times_dim", row.error_bound},
                               {"lower_bound", lower_bound(row.bits)}});
  }
  for (const SpikeRow& row : tables.spikes) {
    out["spikes"].push_back({{"dim", row.dim},
                             {"bits", row.bits},
                             {"n_spikes", row.n_spikes},
                             {"one_round", to_json(row.one_round)},
                             {"two_rounds", to_json(row.two_rounds)},
                             {"theory", row.theory}});
  }
  for (const SpeedRow& row : tables.speed) {
    out["speed"].push_back({{"quantiser", row.what},
                            {"dim", row.dim},
                            {"bits", row.bits},
                            {"encode_per_s", row.encode_per_s},
                            {"decode_per_s", row.decode_per_s},
                            {"score_per_s", row.score_per_s},
                            {"row_bytes", row.row_bytes}});
  }
  return out;
}

}  // namespace tq::bench
