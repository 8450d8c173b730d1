#pragma once
// GPT-2's byte alphabet: each byte has a printable stand-in character, so that a vocabulary of byte
// strings can be written as text. Pure functions; any thread.

#include <optional>
#include <string>
#include <string_view>

namespace tq::models::text {

// "Ġthe" -> " the". Empty where a character is no stand-in (an added token, written as itself).
std::optional<std::string> bytes_of_stand_ins(std::string_view token);

// The byte of "<0x0A>", upper-case hexadecimal as sentencepiece writes it; -1 for anything else.
int byte_of_fallback_token(std::string_view token) noexcept;

}  // namespace tq::models::text
