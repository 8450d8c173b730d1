#include "bench/svg_plot.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <string_view>
#include <utility>

#include "bench/results.h"
#include "config/check.h"

namespace tq::bench {
namespace {

constexpr double kWidth = 760;
constexpr double kHeight = 440;
constexpr double kLeft = 76;
constexpr double kRight = 540;  // the legend stands right of it
constexpr double kTop = 44;
constexpr double kBottom = 384;

// Okabe and Ito's colours, which the colour-blind tell apart; shapes differ as well.
constexpr std::array<const char*, 8> kColours{"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                              "#56b4e9", "#e69f00", "#000000", "#8c6d31"};

// A coordinate on the page; hundredths suffice, and keep the bytes equal on all machines.
std::string place(double value) { return format("%.2f", value); }

std::string escaped(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else {
      out += static_cast<unsigned char>(c) < 0x20 ? ' ' : c;  // XML 1.0 has no other controls
    }
  }
  return out;
}

std::string text_at(double x, double y, const char* attributes, std::string_view text) {
  return "<text x=\"" + place(x) + "\" y=\"" + place(y) + "\" " + attributes + ">" + escaped(text) +
         "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const std::string& attributes) {
  return "<line x1=\"" + place(x1) + "\" y1=\"" + place(y1) + "\" x2=\"" + place(x2) + "\" y2=\"" +
         place(y2) + "\" " + attributes + "/>\n";
}

struct Tick {
  double value = 0.0;
  std::string label;
};

// From values to places on the page, with room at both ends.
class Scale {
 public:
  Scale(AxisScale kind, double from, double to) : kind_(kind), from_(from), to_(to) {}

  void include(double value) {
    low_ = std::min(low_, value);
    high_ = std::max(high_, value);
  }
  void finish() {
    low_ = forward(low_);
    high_ = forward(high_);
    double margin = 0.06 * (high_ - low_);
    if (margin <= 0.0) margin = kind_ == AxisScale::kLog ? 0.5 : std::max(std::abs(low_), 1.0) / 2;
    low_ -= margin;
    high_ += margin;
  }
  // Cut at the ends, for bars that reach beyond them.
  double at(double value) const {
    const bool below = kind_ == AxisScale::kLog && value <= 0.0;
    const double t = below ? low_ : std::clamp(forward(value), low_, high_);
    return from_ + (t - low_) / (high_ - low_) * (to_ - from_);
  }
  std::vector<Tick> ticks() const {
    return kind_ == AxisScale::kLog ? log_ticks() : linear_ticks();
  }

 private:
  double forward(double value) const {
    return kind_ == AxisScale::kLog ? std::log10(value) : value;
  }

  // Steps of 1, 2 or 5 times a power of ten, at most seven ticks.
  std::vector<Tick> linear_ticks() const {
    const double power = std::pow(10.0, std::floor(std::log10((high_ - low_) / 6.0)));
    double step = 10.0 * power;
    for (const double factor : {5.0, 2.0, 1.0}) {
      if ((high_ - low_) / (factor * power) <= 6.0) step = factor * power;
    }
    std::vector<Tick> ticks;
    for (double i = std::ceil(low_ / step); i * step <= high_; i += 1.0) {
      ticks.push_back({i * step, format("%.6g", i * step)});
    }
    return ticks;
  }

  // Powers of ten; their doubles and fives as well where that is not crowded.
  std::vector<Tick> log_ticks() const {
    std::vector<Tick> ticks;
    const bool few = high_ - low_ < 3.5;
    for (double power = std::floor(low_); power <= high_; power += 1.0) {
      for (const double factor : {1.0, 2.0, 5.0}) {
        const double value = factor * std::pow(10.0, power);
        if (factor > 1.0 && !few) break;
        if (std::log10(value) < low_ || std::log10(value) > high_) continue;
        ticks.push_back({value, format("%.6g", value)});
      }
    }
    return ticks;
  }

  AxisScale kind_;
  double from_;
  double to_;
  double low_ = std::numeric_limits<double>::infinity();
  double high_ = -std::numeric_limits<double>::infinity();
};

std::string draw_axes(const PlotOptions& options, const Scale& x, const Scale& y) {
  const std::string grid = "stroke=\"#dddddd\"";
  std::string out;
  for (const Tick& tick : x.ticks()) {
    const double at = x.at(tick.value);
    out += line(at, kTop, at, kBottom, grid);
    out += text_at(at, kBottom + 18, "text-anchor=\"middle\"", tick.label);
  }
  for (const Tick& tick : y.ticks()) {
    const double at = y.at(tick.value);
    out += line(kLeft, at, kRight, at, grid);
    out += text_at(kLeft - 8, at + 4, "text-anchor=\"end\"", tick.label);
  }
  out += "<rect x=\"" + place(kLeft) + "\" y=\"" + place(kTop) + "\" width=\"" +
         place(kRight - kLeft) + "\" height=\"" + place(kBottom - kTop) +
         "\" fill=\"none\" stroke=\"#444444\"/>\n";
  const double middle = (kLeft + kRight) / 2;
  out += text_at(middle, kTop - 18, "text-anchor=\"middle\" font-size=\"15\"", options.title);
  out += text_at(middle, kBottom + 42, "text-anchor=\"middle\"", options.x.label);
  const std::string turned =
      "text-anchor=\"middle\" transform=\"rotate(-90 18 " + place((kTop + kBottom) / 2) + ")\"";
  out += text_at(18, (kTop + kBottom) / 2, turned.c_str(), options.y.label);
  return out;
}

std::string marker(size_t shape, double x, double y, const char* colour) {
  const std::string fill = "fill=\"" + std::string(colour) + "\"/>\n";
  const auto polygon = [&](std::initializer_list<std::pair<double, double>> corners) {
    std::string points;
    for (const auto& [dx, dy] : corners) points += place(x + dx) + "," + place(y + dy) + " ";
    points.pop_back();
    return "<polygon points=\"" + points + "\" " + fill;
  };
  switch (shape % 4) {
    case 0: return "<circle cx=\"" + place(x) + "\" cy=\"" + place(y) + "\" r=\"4\" " + fill;
    case 1: return polygon({{-3.5, -3.5}, {3.5, -3.5}, {3.5, 3.5}, {-3.5, 3.5}});
    case 2: return polygon({{0, -5}, {4.5, 3.5}, {-4.5, 3.5}});
    default: return polygon({{0, -5}, {5, 0}, {0, 5}, {-5, 0}});
  }
}

bool has_line(SeriesStyle style) { return style != SeriesStyle::kMarkers; }
bool has_markers(SeriesStyle style) {
  return style == SeriesStyle::kMarkers || style == SeriesStyle::kLineAndMarkers;
}

std::string stroke(const PlotSeries& series, const char* colour) {
  std::string out = "stroke=\"" + std::string(colour) + "\" stroke-width=\"1.6\"";
  if (series.style == SeriesStyle::kDashed) out += " stroke-dasharray=\"6 4\"";
  return out;
}

std::string draw_series(const PlotSeries& series, size_t i, const Scale& x, const Scale& y) {
  const char* colour = kColours[i % kColours.size()];
  std::string out;
  if (has_line(series.style)) {
    std::string points;
    for (const PlotPoint& point : series.points) {
      points += (points.empty() ? "" : " ") + place(x.at(point.x)) + "," + place(y.at(point.y));
    }
    out += "<polyline points=\"" + points + "\" fill=\"none\" " + stroke(series, colour) + "/>\n";
  }
  for (const PlotPoint& point : series.points) {
    const double at = x.at(point.x);
    if (point.half_width > 0.0) {
      out += line(at, y.at(point.y - point.half_width), at, y.at(point.y + point.half_width),
                  "stroke=\"" + std::string(colour) + "\"");
    }
    if (has_markers(series.style)) out += marker(i, at, y.at(point.y), colour);
    if (!point.label.empty()) out += text_at(at + 7, y.at(point.y) - 5, "", point.label);
  }
  return out;
}

std::string draw_legend(const std::vector<PlotSeries>& all) {
  std::string out;
  for (size_t i = 0; i < all.size(); ++i) {
    const char* colour = kColours[i % kColours.size()];
    const double y = kTop + 10 + 20.0 * static_cast<double>(i);
    if (has_line(all[i].style)) {
      out += line(kRight + 14, y, kRight + 40, y, stroke(all[i], colour));
    }
    if (has_markers(all[i].style)) out += marker(i, kRight + 27, y, colour);
    out += text_at(kRight + 48, y + 4, "", all[i].name);
  }
  return out;
}

}  // namespace

Result<void> SvgPlot::add(PlotSeries series) {
  const auto bad = [&](const char* why) { return Error{Code::kInvalidArgument, why, series.name}; };
  if (series.points.empty()) return bad("a series of a plot has no points");
  for (const PlotPoint& point : series.points) {
    if (!std::isfinite(point.x) || !std::isfinite(point.y) || !std::isfinite(point.half_width)) {
      return bad("a point of a plot is not finite");
    }
    if ((options_.x.scale == AxisScale::kLog && point.x <= 0.0) ||
        (options_.y.scale == AxisScale::kLog && point.y <= 0.0)) {
      return bad("a point is not positive on a logarithmic axis");
    }
  }
  series_.push_back(std::move(series));
  return {};
}

std::string SvgPlot::render() const {
  TQ_CHECK(!series_.empty(), "plot without series", options_.title);
  Scale x(options_.x.scale, kLeft, kRight);
  Scale y(options_.y.scale, kBottom, kTop);
  for (const PlotSeries& series : series_) {
    for (const PlotPoint& point : series.points) {
      x.include(point.x);
      y.include(point.y);
    }
  }
  x.finish();
  y.finish();
  const double legend_bottom = kTop + 20.0 * static_cast<double>(series_.size()) + 10;
  const std::string size =
      place(kWidth) + "\" height=\"" + place(std::max(kHeight, legend_bottom)) + "\"";
  std::string out =
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"" +
      size + " font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"" + size +
      " fill=\"#ffffff\"/>\n";
  out += draw_axes(options_, x, y);
  for (size_t i = 0; i < series_.size(); ++i) out += draw_series(series_[i], i, x, y);
  return out + draw_legend(series_) + "</svg>\n";
}

}  // namespace tq::bench
