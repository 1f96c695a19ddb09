#!/bin/sh
# A Chromium for the tests of the widgets: the one that is there, the distribution's, or Playwright's. Without any,
# those tests are skipped and say why, except in CI.
for name in chromium chromium-browser google-chrome google-chrome-stable; do
  command -v "$name" >/dev/null && exit 0
done
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
  echo 'Installing Chromium, for the tests of the widgets. This happens once.'
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium >/dev/null && exit 0
fi
"$1" -m playwright install chromium >/dev/null 2>&1 && exit 0
echo 'No Chromium, and none could be fetched: the tests of the widgets in a browser will be skipped.'
[ -z "$CI" ]
