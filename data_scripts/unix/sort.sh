#!/bin/sh
# Pages into a folder a class, as a table says: sh sort.sh TABLE.csv. Options: sh sort.sh --help
# May be copied into the folder of the pages and started there.
job=sort
place=

# Where the toolkit is: as filled in by `prepare.py launchers`, as PAGESORT_HOME says, where this
# file is or is linked to, in a folder above, or where the Python environment in use is.
here=$(cd "$(dirname "$0")" && pwd) || exit 1
real=$(readlink -f "$0" 2>/dev/null || echo "$here/x")
upwards() {
    folder=$1
    while [ -n "$folder" ]; do
        echo "$folder"
        folder=${folder%/*}
    done
}
home=
old_ifs=$IFS
IFS='
'
for folder in $place $PAGESORT_HOME $(upwards "${real%/*}") $(upwards "$here") $(upwards "$PWD") \
    $(upwards "$VIRTUAL_ENV") $OLDPWD; do
    if [ -f "$folder/data_scripts/prepare.py" ] && [ -d "$folder/pagesort" ]; then
        home=$folder
        break
    fi
done
IFS=$old_ifs
if [ -z "$home" ]; then
    echo "error: the folder of pagesort was not found. Type: PAGESORT_HOME=/its/folder sh $0" >&2
    exit 1
fi

# A copy works on the folder it lies in, the toolkit's own launcher on the working folder.
unset PAGESORT_HERE
[ -f "$here/../prepare.py" ] || export PAGESORT_HERE="$here"
python=$PAGESORT_PYTHON
if [ -z "$python" ]; then
    python=python3
    [ -n "$VIRTUAL_ENV" ] || [ ! -x "$home/.venv/bin/python" ] || python=$home/.venv/bin/python
fi
exec "$python" "$home/data_scripts/prepare.py" "$job" "$@"
