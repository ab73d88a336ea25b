#!/bin/sh
# Wraps rustc for `./x fuzz`: adds the coverage counters of libFuzzer to our
# parsers and to the parsers that they call. Counters in other crates would only
# make each execution slower.
set -eu
rustc=$1
shift
name=
target=
for word; do
    [ "${before:-}" != --crate-name ] || name=$word
    [ "$word" != --target ] || target=yes
    before=$word
done
# Without a target, a build script or a procedural macro is compiled.
case ${target:+$name} in
kernel | lang | rest | identity | pki | nodewire | orchestration | clusters | \
    serde_json | saphyr_parser | x509_parser | asn1_rs | der_parser | rmp | \
    form_urlencoded | percent_encoding | base64)
    exec "$rustc" "$@" -Cpasses=sancov-module \
        -Cllvm-args=-sanitizer-coverage-level=4 \
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters \
        -Cllvm-args=-sanitizer-coverage-pc-table \
        -Cllvm-args=-sanitizer-coverage-trace-compares
    ;;
esac
exec "$rustc" "$@"
