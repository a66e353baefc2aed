// Failures with the driver's own names and words.
#include "failure.h"

namespace statefuse {

void refuse(const char* operation, const std::string& words) {
  Failure failure;
  failure.origin = Failure::Origin::caller;
  failure.operation = operation;
  failure.words = words;
  throw failure;
}

void check(const DriverFunctions& driver, Result code, const char* operation, const std::string& subject) {
  if (code == success) return;
  Failure failure;
  failure.operation = operation;
  failure.code = code;
  failure.subject = subject;
  const char* text = nullptr;
  if (driver.getErrorName != nullptr && driver.getErrorName(code, &text) == success && text != nullptr) failure.name = text;
  text = nullptr;
  if (driver.getErrorString != nullptr && driver.getErrorString(code, &text) == success && text != nullptr) failure.words = text;
  throw failure;
}

}  // namespace statefuse
