#!/usr/bin/env bash
# Everything that must hold: types, then every test. Ends with the counts on a line of their own.
set -u
cd "$(dirname "$0")/.."

bash scripts/setup-test-devices.sh
echo 'types: checking'
if ! npm run --silent check; then
  echo
  echo '0 passed, 1 failed, 0 skipped'
  exit 1
fi
exec npx vitest run --reporter=default --reporter=./test/support/summary-reporter.ts
