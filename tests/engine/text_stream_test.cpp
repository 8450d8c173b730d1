// TextStream against a naive reference that sees the whole text at once, over every split into
// tokens.

#include "engine/text_stream.h"

#include <algorithm>
#include <catch2/catch.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/seeded.h"

using tq::engine::TextStream;
using tq::engine::TextStreamOptions;

namespace {

using Tokens = std::vector<std::string>;

// Is it a whole well-formed sequence? By its code point, not by a state machine.
bool is_character(std::string_view s) {
  const auto b = [&](size_t i) { return static_cast<uint32_t>(static_cast<unsigned char>(s[i])); };
  for (size_t i = 1; i < s.size(); ++i) {
    if ((b(i) & 0xc0) != 0x80) return false;
  }
  switch (s.size()) {
    case 1: return b(0) < 0x80;
    case 2: return (b(0) & 0xe0) == 0xc0 && ((b(0) & 0x1f) << 6 | (b(1) & 0x3f)) >= 0x80;
    case 3: {
      const uint32_t c = (b(0) & 0x0f) << 12 | (b(1) & 0x3f) << 6 | (b(2) & 0x3f);
      return (b(0) & 0xf0) == 0xe0 && c >= 0x800 && (c < 0xd800 || c > 0xdfff);
    }
    case 4: {
      const uint32_t c =
          (b(0) & 0x07) << 18 | (b(1) & 0x3f) << 12 | (b(2) & 0x3f) << 6 | (b(3) & 0x3f);
      return (b(0) & 0xf8) == 0xf0 && c >= 0x10000 && c <= 0x10ffff;
    }
    default: return false;
  }
}

// Could more bytes make it a character? All completions that matter are tried.
bool begins_character(const std::string& s) {
  if (s.size() >= 4) return false;
  for (const int next : {0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf}) {
    const std::string longer = s + static_cast<char>(next);
    if (is_character(longer) || begins_character(longer)) return true;
  }
  return false;
}

struct Decoded {
  std::string text;
  std::vector<size_t> token_of;  // which token completed each byte of the text
};

// at_end: an unfinished character is replaced too.
Decoded naive_decode(const Tokens& tokens, bool at_end) {
  std::string bytes;
  std::vector<size_t> owner;
  for (size_t t = 0; t < tokens.size(); ++t) {
    bytes += tokens[t];
    owner.insert(owner.end(), tokens[t].size(), t);
  }
  Decoded decoded;
  const auto put = [&](std::string_view text, size_t last_byte) {
    decoded.text += text;
    decoded.token_of.insert(decoded.token_of.end(), text.size(), owner[last_byte]);
  };
  size_t i = 0;
  while (i < bytes.size()) {
    size_t n = 1;
    while (n <= 4 && i + n <= bytes.size() && !is_character(bytes.substr(i, n)) &&
           begins_character(bytes.substr(i, n))) {
      ++n;
    }
    const bool whole = i + n <= bytes.size() && is_character(bytes.substr(i, n));
    if (whole) {
      put(bytes.substr(i, n), i + n - 1);
      i += n;
      continue;
    }
    // The maximal part that begins a character, or one byte.
    const size_t n_bad = std::max<size_t>(1, n - 1);
    if (i + n_bad >= bytes.size() && begins_character(bytes.substr(i)) && !at_end) break;
    put("\xef\xbf\xbd", std::min(i + n_bad, bytes.size() - 1));
    i += n_bad;
  }
  return decoded;
}

struct Expected {
  std::string shown;
  std::string matched;
};

// After the first tokens: what must have been shown, neither less nor more.
Expected naive(const Tokens& tokens,
               const TextStreamOptions& options,
               size_t armed_from,
               bool at_end) {
  const Decoded decoded = naive_decode(tokens, at_end);
  const std::string& text = decoded.text;
  for (size_t end = 1; end <= text.size(); ++end) {
    const bool armed = decoded.token_of[end - 1] >= armed_from;
    std::string best;
    for (const std::string& stop : options.stop_strings) {
      const bool here =
          end >= stop.size() && text.compare(end - stop.size(), stop.size(), stop) == 0;
      if (here && armed && stop.size() > best.size()) best = stop;
    }
    if (!best.empty()) {
      return {text.substr(0, options.include_stop_string ? end : end - best.size()), best};
    }
  }
  size_t held = 0;
  for (const std::string& stop : options.stop_strings) {
    for (size_t n = 1; n < stop.size() && n <= text.size(); ++n) {
      if (text.compare(text.size() - n, n, stop, 0, n) == 0) held = std::max(held, n);
    }
  }
  return {at_end ? text : text.substr(0, text.size() - held), ""};
}

void check(const Tokens& tokens, const TextStreamOptions& options, size_t armed_from = 0) {
  TextStream stream(options);
  std::string shown;
  Tokens so_far;
  for (size_t t = 0; t < tokens.size(); ++t) {
    so_far.push_back(tokens[t]);
    const bool stopped = stream.push(tokens[t], t >= armed_from, shown);
    const Expected expected = naive(so_far, options, armed_from, false);
    INFO("after token " << t << " of " << tokens.size());
    REQUIRE(shown == expected.shown);
    REQUIRE(stopped == !expected.matched.empty());
    REQUIRE(stream.matched() == expected.matched);
    if (stopped) {
      stream.flush(shown);
      REQUIRE(shown == expected.shown);
      return;
    }
  }
  stream.flush(shown);
  REQUIRE(shown == naive_decode(tokens, true).text);
}

// All 2^(n-1) ways to cut the bytes into tokens.
void check_every_split(const std::string& bytes, const TextStreamOptions& options) {
  REQUIRE(bytes.size() <= 14);
  const uint32_t n_splits = 1u << (bytes.size() - 1);
  for (uint32_t cuts = 0; cuts < n_splits; ++cuts) {
    Tokens tokens(1);
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (i > 0 && (cuts >> (i - 1) & 1) != 0) tokens.emplace_back();
      tokens.back() += bytes[i];
    }
    check(tokens, options);
  }
}

}  // namespace

TEST_CASE("every split of multi-byte text gives the same text") {
  for (const char* text : {"a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z",  // é € and an emoji
                           "\xe0\xa0\x80\xed\x9f\xbf\xf4\x8f\xbf\xbf"}) {
    check_every_split(text, {});
  }
}

TEST_CASE("ill-formed bytes become U+FFFD, one per maximal part, in every split") {
  for (const char* text :
       {"\x80"
        "a\xff"
        "b",
        "\xc3"
        "a\xe2\x82"
        "b\xf0\x9f\x98"
        "c",
        "\xc0\xaf\xed\xa0\x80", "\xf4\x90\x80\x80\xf5", "\xe2\x82\xc3\xa9\xf0\x9f", "a\xe2\x82"}) {
    INFO(text);
    check_every_split(text, {});
  }
}

TEST_CASE("stop strings are found across every split and never leak their first half") {
  struct Case {
    const char* text;
    std::vector<std::string> stops;
  };
  const Case cases[] = {
      {"hello STOP more", {"STOP"}},
      {"aaab", {"aab"}},  // the match begins inside a failed one
      {"ababac", {"abac"}},
      {"abcabd xyz", {"abd", "bca"}},                   // two overlap; the first to end wins
      {"xEND", {"END", "xEND"}},                        // two end together; the longer wins
      {"\xe2\x82\xac\xe2\x82\xad.", {"\xe2\x82\xad"}},  // shares bytes with what is not it
      {"no match ST", {"STOP"}},                        // held to the end, then shown
      {"\n\nUser:", {"\nUser", "\n\nUsers"}},
  };
  for (const Case& c : cases) {
    for (const bool include : {false, true}) {
      INFO(c.text << " include " << include);
      const std::string text = std::string(c.text).substr(0, 14);
      check_every_split(text, {.stop_strings = c.stops, .include_stop_string = include});
    }
  }
}

TEST_CASE("random text, stops and token sizes equal the reference") {
  const uint64_t seed = 20240817;
  INFO("seed " << seed);
  tq::test::Seeded random(seed);
  for (int round = 0; round < 20'000; ++round) {
    // Two letters and a two-byte character make matches, near matches and overlaps frequent.
    const std::vector<std::string> alphabet{"a", "b", "\xc3\xa9", "\xc3"};
    TextStreamOptions options;
    options.include_stop_string = random.chance(0.3);
    for (int64_t i = random.in(0, 3); i > 0; --i) {
      std::string stop;
      for (int64_t n = random.in(1, 4); n > 0; --n)
        stop += alphabet[static_cast<size_t>(random.in(0, 2))];
      options.stop_strings.push_back(stop);
    }
    Tokens tokens;
    for (int64_t i = random.in(1, 8); i > 0; --i) {
      std::string token;
      for (int64_t n = random.in(0, 4); n > 0; --n)
        token += alphabet[static_cast<size_t>(random.in(0, 3))];
      tokens.push_back(token);
    }
    check(tokens, options, static_cast<size_t>(random.in(0, 5)));
  }
}

TEST_CASE("a stop string that ends before min_tokens is text") {
  TextStream stream({.stop_strings = {"ab"}});
  std::string shown;
  CHECK_FALSE(stream.push("ab", false, shown));
  CHECK(shown == "ab");
  CHECK_FALSE(stream.push("a", false, shown));
  CHECK(stream.push("b", true, shown));  // begins before, ends after
  CHECK(shown == "ab");
  CHECK(stream.matched() == "ab");
}

TEST_CASE("a leading space is dropped once, where asked") {
  TextStream stream({.stop_strings = {}, .drop_leading_space = true});
  std::string shown;
  stream.push(" ", true, shown);
  stream.push(" a b", true, shown);
  CHECK(shown == " a b");
  TextStream other({.stop_strings = {}, .drop_leading_space = true});
  shown.clear();
  other.push("a b", true, shown);
  CHECK(shown == "a b");
}
