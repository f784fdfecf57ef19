#!/bin/sh
# Builds the engines of this kit on a @DEVICE@ with JetPack @JETPACK@ (TensorRT @TENSORRT@), then verifies them.
#
#     ./build.sh [PICTURE..]            build missing engines, then verify
#     ./build.sh verify [PICTURE..]     verify the built engines
#
# Engines are verified on the given pictures, or on a few synthetic ones. INT8 needs pictures
# like those it was calibrated with.
#
# trtexec is taken from the PATH or from where JetPack puts it; TRTEXEC=FILE names another one.
# Without trtexec, uhd builds with TensorRT's Python package. Verifying the accuracy of the
# engines needs uhd, pycuda (README.txt says how) and that package as well.
#
# What building, verifying and running take of the device's memory is predicted, and said first. Building does not
# start where it is predicted not to suffice, without swap; IGNORE_MEMORY=1 builds all the same.
# Exit code 0: built and verified. 1: not.
set -eu
started_in=$PWD
cd -- "$(dirname -- "$0")"

JETPACK='@JETPACK@'
TENSORRT='@TENSORRT@'
CAPABILITY='@CAPABILITY@'
PRECISIONS='@PRECISIONS@' # each is built, run and verified by itself
MODES='@MODES@'
MAX_SLICES='@MAX_SLICES@'
LARGEST_VIEW='@LARGEST_VIEW@'
ATTENTION='@ATTENTION_CHOICE@'
BUILD_MB='@BUILD_MB@'
VERIFY_MB='@VERIFY_MB@'
RUN_MB='@RUN_MB@'
SYSTEM_MB='@SYSTEM_MB@' # what the device's own programs take, without a desktop
ENGINES='bundle/engines/@TARGET@'

say() {
    printf '%s\n' "$*"
}

fail() {
    printf 'build.sh: %s\n' "$*" >&2
    exit 1
}

# read_memory NAME: prints that number of the kernel's in megabytes, nothing where it tells none.
read_memory() {
    kilobytes=$(sed -n "s/^$1: *\([0-9]*\) kB$/\1/p" /proc/meminfo 2>/dev/null)
    [ -z "$kilobytes" ] || printf '%s\n' "$((kilobytes * 1024 / 1000000))"
}

# has_memory MEGABYTES: whether the device can have so much beside its system. Swap does not count: what a GPU uses
# cannot be swapped, and JetPack's own swap is compressed memory.
has_memory() {
    total=$(read_memory MemTotal)
    free=$(read_memory MemAvailable)
    [ -n "$free" ] || return 0
    usable=$((total - SYSTEM_MB))
    [ "$1" -gt "$free" ] || return 0
    [ "$1" -le "$usable" ]
}

# say_memory WHAT MEGABYTES: says beforehand how much WHAT takes, and whether that is there. 0 is not known.
say_memory() {
    [ "$2" -gt 0 ] || return 0
    takes="$1 takes about $2 MB with a margin"
    if ! has_memory "$2"; then
        say "$takes, and this device has $usable MB without its system: it may be ended for lack of memory"
    elif [ -n "$free" ] && [ "$2" -gt "$free" ]; then
        say "$takes, and $free MB are free: close other programs, such as the desktop"
    else
        say "$takes"
    fi
}

find_trtexec() {
    if [ -n "${TRTEXEC:-}" ]; then
        case $TRTEXEC in
            /*) named=$TRTEXEC ;;
            */*) named=${started_in%/}/$TRTEXEC ;;
            *) named=$(command -v "$TRTEXEC") || fail "TRTEXEC names $TRTEXEC, which is not on the PATH" ;;
        esac
        [ -f "$named" ] && [ -x "$named" ] || fail "TRTEXEC names $TRTEXEC, which is no program"
        printf '%s\n' "$named"
    elif command -v trtexec; then
        :
    elif [ -x "${TENSORRT_ROOT:-/usr/src/tensorrt}/bin/trtexec" ]; then
        printf '%s\n' "${TENSORRT_ROOT:-/usr/src/tensorrt}/bin/trtexec"
    else
        dpkg -L libnvinfer-bin 2>/dev/null | grep '/trtexec$' | head -n 1
    fi
}

# Prints the version of trtexec, which calls 10.3.0 "v100300".
read_version() {
    help=$("$trtexec" --help 2>&1) || true
    packed=$(printf '%s\n' "$help" | sed -n 's/.*TensorRT\.trtexec \[TensorRT v\([0-9]*\)\].*/\1/p' | head -n 1)
    case $help in
        *libnvdla_compiler.so*) # JetPack 6 has it in a package of its own, which not every installation has
            fail "$trtexec does not start without libnvdla_compiler.so: apt install nvidia-l4t-dla-compiler, then" \
                "ldconfig"
            ;;
        *'error while loading shared libraries'*) fail "$trtexec does not start: ${help##*libraries: }" ;;
    esac
    [ -n "$packed" ] || fail "$trtexec does not report its version; is it TensorRT's?"
    if [ "$packed" -lt 100000 ]; then # before version 10: v8502 for 8.5.2
        printf '%s\n' "$((packed / 1000)).$((packed / 100 % 10)).$((packed % 100))"
    else
        printf '%s\n' "$((packed / 10000)).$((packed / 100 % 100)).$((packed % 100))"
    fi
}

# Prints the first error of a log, in one line.
first_error() {
    error=$(sed -n 's/.*\[E\] *//p' "$1" | grep -v '^$' | head -n 1)
    case ${ended:-0} in
        129) meaning='its terminal was closed' ;;
        130) meaning='somebody interrupted it' ;;
        134) meaning='it gave up by itself, often for lack of memory; the last lines of its log say why' ;;
        135) meaning='most likely a file could not be read: check the disk' ;;
        137) meaning="most likely for lack of memory: close other programs, such as the desktop, or make the kit with a \
smaller --largest-view or fewer --modes" ;;
        139) meaning='it crashed, which is a fault of TensorRT or the driver: try it again' ;;
        143) meaning='somebody or the system stopped it' ;;
        *) meaning='' ;;
    esac
    [ "${ended:-0}" -le 128 ] ||
        error="it was ended by signal $((ended - 128))${meaning:+, $meaning}${error:+; its first error: $error}"
    printf '%s\n' "${error:-no reason given} (the log is $1)"
}

# run_trtexec LOG ARGUMENT..: succeeds if trtexec exits with 0 and its log says PASSED.
run_trtexec() {
    log=$1
    shift
    ended=0
    "$trtexec" "$@" >"$log" 2>&1 || ended=$?
    [ "$ended" -eq 0 ] || return 1
    grep -q '^&&&& PASSED TensorRT\.trtexec' "$log"
}

# is_built NAME: whether the engine was built by this TensorRT from this kit's graph and shapes.
# Its record then has every line of the kit's template, except those that only the device can fill.
is_built() {
    record=$ENGINES/$1.engine.json
    [ -f "$ENGINES/$1.engine" ] && [ -f "$record" ] && grep -q "\"backend_version\": \"$version\"" "$record" &&
        ! grep -vxFf "$record" "records/$1.json" | grep -qv '@[A-Z0-9]*@'
}

# say_fused NAME ATTENTIONS: says how many attentions of its graph an engine runs as one kernel each.
# Layers of all profiles but the first have [profile N] behind their names; the profile with the fewest counts.
say_fused() {
    layers=$ENGINES/$1.layers.json
    if [ "$2" -gt 0 ] && [ -s "$layers" ]; then
        fused=$(awk '/"LayerType"/ { profile = match(last, /\[profile [0-9]+\]/) ? substr(last, RSTART, RLENGTH) : ""
                count[profile] += 0 }
            /"TacticName".*mha/ { count[profile]++ }
            { last = $0 }
            END { for (profile in count) if (fewest == "" || count[profile] < fewest) fewest = count[profile]
                print fewest + 0 }' "$layers")
        say "$1: $fused of $2 attentions fused"
    fi
    rm -f "$layers"
}

# build_engine NAME GRAPH ATTENTIONS HEADS SHAPES..
build_engine() {
    name=$1
    graph=$2
    attentions=$3
    heads=$4
    shift 4
    if is_built "$name"; then
        say "$name: already built"
        return
    fi
    compile "$name" "$name" "$graph" "$attentions" "$@"
    keep "$name" "$heads"
}

# build_faster NAME GRAPH PADDED_GRAPH ATTENTIONS RUN_SHAPES SHAPES..: builds from both graphs, times both engines
# in their usual shape, and keeps the padded one if it takes less than 98 % of the time of the other. Where
# the padded one cannot be built or timed, the plain one stays.
build_faster() {
    name=$1
    graph=$2
    padded=$3
    attentions=$4
    usual=$5
    shift 5
    if is_built "$name"; then
        say "$name: already built"
        return
    fi
    compile "$name" "$name" "$graph" "$attentions" "$@"
    heads=plain
    if plain_time=$(time_engine "$name" "$usual") && (compile "$name" "$name-padded" "$padded" "$attentions" "$@") &&
        padded_time=$(time_engine "$name-padded" "$usual"); then
        ! awk "BEGIN { exit !($padded_time < 0.98 * $plain_time) }" || heads=padded
        say "$name: $plain_time ms plain, $padded_time ms with padded attention heads: $heads is kept"
    else
        say "$name: stays plain; padded attention heads were not measured"
    fi
    if [ "$heads" = padded ]; then
        mv "$ENGINES/$name-padded.engine.partial" "$ENGINES/$name.engine.partial"
        mv "$ENGINES/$name-padded.log" "$ENGINES/$name.log"
    fi
    rm -f "$ENGINES/$name-padded.engine.partial" "$ENGINES/$name-padded.log"
    keep "$name" "$heads"
}

# time_engine FILE SHAPES: prints the median milliseconds of the GPU for one run of an engine that is not kept yet.
time_engine() {
    run_trtexec "$ENGINES/times.log" "--loadEngine=$ENGINES/$1.engine.partial" "$2" --warmUp=500 --duration=3 ||
        fail "$1: cannot be timed: $(first_error "$ENGINES/times.log")"
    time=$(sed -n 's/.*GPU Compute Time: .*median = \([0-9.]*\) ms.*/\1/p' "$ENGINES/times.log" | head -n 1)
    [ -n "$time" ] || fail "$1: trtexec does not tell its time (the log is $ENGINES/times.log)"
    rm -f "$ENGINES/times.log"
    printf '%s\n' "$time"
}

# compile NAME FILE GRAPH ATTENTIONS SHAPES..: builds FILE.engine.partial, and leaves trtexec's log.
compile() {
    name=$1
    file=$2
    graph=$3
    attentions=$4
    shift 4
    has_memory "$BUILD_MB" || [ -n "${IGNORE_MEMORY:-}" ] ||
        fail "$name: building takes about $BUILD_MB MB with a margin, and this device has $usable MB without its" \
            "system: make the kit with a smaller --largest-view or in int8; IGNORE_MEMORY=1 builds all the same"
    say "$file: building, which can take some minutes"
    partial=$ENGINES/$file.engine.partial
    rm -f "$ENGINES/$name.engine.json" "$partial"
    run_trtexec "$ENGINES/$file.log" "--onnx=bundle/$graph" "--saveEngine=$partial" --stronglyTyped \
        --skipInference @WORKSPACE@ --profilingVerbosity=detailed "--exportLayerInfo=$ENGINES/$file.layers.json" \
        "--timingCacheFile=$ENGINES/timing-$version.cache" "$@" ||
        give_up "$file" "trtexec could not build it: $(first_error "$ENGINES/$file.log")"
    if grep -q 'UINT8 zero_point' "$ENGINES/$file.log"; then
        give_up "$file" "its graph is quantized to uint8, which TensorRT reads as int8"
    fi
    [ -s "$partial" ] || give_up "$file" "trtexec reported PASSED but wrote no engine; check the free disk space"
    say_fused "$file" "$attentions"
}

# keep NAME HEADS: makes NAME.engine.partial the engine, with its record; HEADS is plain or padded.
keep() {
    mv "$ENGINES/$1.engine.partial" "$ENGINES/$1.engine"
    write_record "$1" "$ENGINES/$1.log" "$2"
    rm -f "$ENGINES/$1.log"
}

# replaced NAME..: removes engines that the one just built covers, as a kit for one mode has left them.
replaced() {
    for covered; do
        rm -f "$ENGINES/$covered.engine.json" "$ENGINES/$covered.engine"
    done
}

give_up() {
    rm -f "$ENGINES/$1.engine.partial" "$ENGINES/$1.layers.json"
    fail "$1: $2"
}

# write_record NAME LOG HEADS: fills the kit's template of the record with values from the log.
write_record() {
    gpu=$(sed -n 's/.*\[I\] Selected Device: *//p' "$2" | head -n 1 | tr -cd 'A-Za-z0-9 ._()-')
    capability=$(sed -n 's/.*\[I\] Compute Capability: *//p' "$2" | head -n 1 | tr -cd '0-9.')
    [ "$capability" = "$CAPABILITY" ] ||
        fail "this kit is for compute capability $CAPABILITY, this device has ${capability:-none that trtexec reports}"
    engine=$ENGINES/$1.engine
    digest=$(sha256sum "$engine")
    size=$(wc -c <"$engine")
    sed -e "s/@VERSION@/$version/" -e "s/@GPU@/$gpu/" -e "s/\"@BYTES@\"/$((size))/" -e "s/@SHA256@/${digest%% *}/" \
        -e "s/@ATTENTION@/$3/" "records/$1.json" >"$engine.json.partial"
    mv "$engine.json.partial" "$engine.json"
}

# run_engine NAME SHAPES: loads the engine and runs it once.
run_engine() {
    is_built "$1" || fail "$1: not built for TensorRT $version; run ./build.sh"
    if run_trtexec "$ENGINES/$1.log" "--loadEngine=$ENGINES/$1.engine" "$2" --iterations=1 --warmUp=0 --duration=0; then
        rm -f "$ENGINES/$1.log"
        say "$1: loads and runs"
    else
        why=$(first_error "$ENGINES/$1.log")
        set_aside "$1"
        fail "$1: does not run: $why; it is kept in $ENGINES/failed and not used"
    fi
}

set_aside() {
    mkdir -p "$ENGINES/failed"
    mv -f "$ENGINES/$1.engine.json" "$ENGINES/failed/"
    mv -f "$ENGINES/$1.engine" "$ENGINES/failed/"
}

# compare PRECISION PICTURE..: compares with FP32 on onnxruntime. Engines that fail the comparison are moved to failed/.
compare() {
    precision=$1
    shift
    command -v uhd >/dev/null 2>&1 ||
        fail "built, but not verified: uhd is missing; install it as README.txt says, then run ./build.sh verify"
    if uhd verify bundle "$@" --engine tensorrt --precision "$precision" >"$ENGINES/verify.txt"; then
        cat "$ENGINES/verify.txt"
        return
    fi
    cat "$ENGINES/verify.txt"
    grep -q '^failed: ' "$ENGINES/verify.txt" ||
        fail "built, but could not be verified; see above, then run ./build.sh verify"
    for record in "$ENGINES"/*-"$precision".engine.json; do
        set_aside "$(basename "$record" .engine.json)"
    done
    fail "the engines do not pass the comparison with FP32; they are kept in $ENGINES/failed and not used"
}

# verify_alone PRECISION PICTURE..: compares without trtexec.
verify_alone() {
    precision=$1
    shift
    uhd verify bundle "$@" --engine tensorrt --precision "$precision"
}

# build_all PRECISION
build_all() {
    case $1 in
        #BUILD#
    esac
}

# run_all PRECISION
run_all() {
    case $1 in
        #RUN#
    esac
}

# build_and_run PRECISION
build_and_run() {
    [ "$order" = verify ] || build_all "$1"
    run_all "$1"
}

# each STEP PRECISIONS [PICTURE..]: takes STEP for each precision in a shell of its own, so that one that fails leaves
# the others; `done_in` gets those that did not. In a condition, that shell would not end at an error.
each() {
    step=$1
    todo=$2
    shift 2
    done_in=''
    for one in $todo; do
        set +e
        (
            set -e
            "$step" "$one" "$@"
        )
        code=$?
        set -e
        [ "$code" -ne 0 ] || done_in="$done_in${done_in:+ }$one"
    done
}

order=build
case ${1:-} in
    verify)
        order=verify
        shift
        ;;
    -h | --help)
        sed -n '2,/^set /s/^# \{0,1\}//p' build.sh
        exit 0
        ;;
esac
for picture; do # make each path absolute; appending each to the end keeps the order
    shift
    case $picture in
        /*) ;;
        *) picture=${started_in%/}/$picture ;;
    esac
    [ -f "$picture" ] || fail "no such picture: $picture; use ./build.sh [verify] [PICTURE..]"
    set -- "$@" "$picture"
done

trtexec=$(find_trtexec)
if [ -z "$trtexec" ]; then
    python3 -c 'import tensorrt' 2>/dev/null ||
        fail "neither trtexec nor TensorRT's Python package was found; on JetPack: apt install tensorrt"
    command -v uhd >/dev/null 2>&1 ||
        fail "trtexec is missing; uhd can build with TensorRT's Python package: install it as README.txt says"
    if [ "$order" = verify ]; then
        say_memory verifying "$VERIFY_MB"
        say_memory running "$RUN_MB"
        each verify_alone "$PRECISIONS" "$@"
        [ "$done_in" = "$PRECISIONS" ] || exit 1
        exit 0
    fi
    for picture; do
        shift
        set -- "$@" --image "$picture"
    done
    exec uhd build bundle --target here --precision "$(printf '%s' "$PRECISIONS" | tr ' ' ',')" --modes "$MODES" --max-slices "$MAX_SLICES" \
        --largest-view "$LARGEST_VIEW" --attention "$ATTENTION" ${IGNORE_MEMORY:+--ignore-memory} "$@"
fi

version=$(read_version)
[ "${version%.*}" = "$TENSORRT" ] || fail "this kit is for JetPack $JETPACK with TensorRT $TENSORRT; this device has" \
    "TensorRT $version: make the kit again with --jetpack for this device"
if command -v flock >/dev/null 2>&1; then # held until this script and its child processes end
    exec 9<bundle/bundle.json
    flock -n 9 || fail "another build.sh is running in this kit; wait for it to end"
fi
[ "$order" = verify ] || say_memory building "$BUILD_MB"
say_memory verifying "$VERIFY_MB"
say_memory running "$RUN_MB"
mkdir -p "$ENGINES" 2>/dev/null && [ -w "$ENGINES" ] ||
    fail "$ENGINES cannot be written: copy the kit to a place that can, and check the free disk space"
each build_and_run "$PRECISIONS"
each compare "$done_in" "$@"
[ -n "$done_in" ] || exit 1
if [ "$PRECISIONS" != "${PRECISIONS#* }" ]; then # several: verifying has timed each, and auto takes the fastest
    uhd inspect bundle | grep '^auto' || say "uhd inspect bundle says which one auto takes"
fi
[ "$done_in" = "$PRECISIONS" ] || fail "verified in $done_in alone; see above"
say "built and verified: $ENGINES"
