#!/usr/bin/env bash
# Grants the app's managed identity its application permissions in Microsoft Graph, for the admin who may: the same as
# ../graph/main.bicep does, without an extension from a registry. What it grants is what ../graph-permissions.json
# lists, and nothing changes unless the tenant's own Graph tells the same id for each name of that list.
set -euo pipefail

readonly GRAPH=https://graph.microsoft.com/v1.0
readonly GRAPH_APP_ID=00000003-0000-0000-c000-000000000000 # Microsoft Graph's own, the same in every tenant
readonly MAIL_ROLE_HELD=3                                  # exit code
LIST=$(cd "$(dirname "$0")/.." && pwd)/graph-permissions.json
readonly LIST

usage() {
  cat <<'END'
Usage: graph-access.sh --identity OBJECT_ID [--with-alerts] [--with-hunting] [--what-if]
       graph-access.sh --identity OBJECT_ID --undo [--what-if]

  --identity OBJECT_ID  object id of the managed identity's service principal:
                        az identity show --resource-group GROUP --name NAME --query principalId
  --with-alerts         also what the setting DEFENDER_ALERTS needs
  --with-hunting        also what the setting HUNTING_QUERY needs
  --what-if             print what would change, and change nothing
  --undo                remove every permission that graph-permissions.json lists

Needs az, signed in to the app's tenant as Privileged Role Administrator, and python3. Run it as often as you like:
what stands is left alone. Ends with 0 when all is as asked, 1 on an error, 2 on a wrong option, and 3 when the identity
holds a permission that opens every mailbox of the tenant.
END
}

fail() {
  printf 'ERROR: %s\n' "$*" >&2
  exit 1
}

refuse_usage() {
  printf 'ERROR: %s\n\n' "$*" >&2
  usage >&2
  exit 2
}

# Reads the options into `identity`, `undo`, `what_if` and `wanted`: the values of `when` that are asked for.
read_options() {
  identity='' wanted=' always ' undo=no what_if=no
  while [ $# -gt 0 ]; do
    case $1 in
      --identity)
        [ $# -gt 1 ] || refuse_usage '--identity needs an object id'
        identity=$2
        shift
        ;;
      --with-alerts) wanted+='DEFENDER_ALERTS ' ;;
      --with-hunting) wanted+='HUNTING_QUERY ' ;;
      --what-if) what_if=yes ;;
      --undo) undo=yes ;;
      -h | --help)
        usage
        exit 0
        ;;
      *) refuse_usage "unknown option $1" ;;
    esac
    shift
  done
  [[ $identity =~ ^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$ ]] ||
    refuse_usage '--identity needs the object id of the identity, a GUID'
}

# Prints one line per permission of the list: name, id and when it is needed.
list_permissions() {
  python3 -c 'import json, sys
for row in json.load(open(sys.argv[1])):
    print(row["name"], row["id"], row["when"])' "$LIST"
}

# Calls Graph by az. Takes nothing from standard input, which holds a list that a loop still reads.
call_graph() {
  az rest --method "$1" --url "$GRAPH/$2" "${@:3}" </dev/null
}

# Prints what Graph answers to a GET of a path, cut by a JMESPath query: a line per row, a tab between cells.
read_graph() {
  call_graph get "$1" --query "$2" --output tsv
}

# Prints the second cell of each row of standard input whose first cell is $1.
look_up() {
  awk -F '\t' -v key="$1" '$1 == key { print $2 }'
}

# Reads what the tenant has: Graph's service principal, its `roles` (name, id), and what the identity holds: `held` of
# Graph (role id, assignment id) and `held_elsewhere` (name of the other resource, assignment id).
read_tenant() {
  local graph="servicePrincipals(appId='$GRAPH_APP_ID')"
  local assignments="servicePrincipals/$identity/appRoleAssignments?\$top=999" name
  name=$(read_graph "servicePrincipals/$identity" displayName) ||
    fail "no service principal $identity: is it the object id, and is az signed in to the app's tenant?"
  printf 'Identity %s, %s\n' "$identity" "$name"
  graph_id=$(read_graph "$graph" id)
  roles=$(read_graph "$graph" "appRoles[?contains(allowedMemberTypes, 'Application')].[value, id]")
  held=$(read_graph "$assignments" "value[?resourceId=='$graph_id'].[appRoleId, id]")
  held_elsewhere=$(read_graph "$assignments" "value[?resourceId!='$graph_id'].[resourceDisplayName, id]")
}

# Fails when the tenant knows a listed permission by another id: lists of these ids on the web mix them up.
check_ids() {
  local name id when told
  while read -r name id when; do
    told=$(look_up "$name" <<<"$roles")
    [ "$told" = "$id" ] ||
      fail "$name (for $when) is ${told:-unknown} in this tenant and $id in $LIST. Nothing was changed."
  done <<<"$permissions"
}

grant() {
  local name=$1 id=$2
  printf 'grant    %s (%s)\n' "$name" "$id"
  [ "$what_if" = no ] || return 0
  call_graph post "servicePrincipals/$graph_id/appRoleAssignedTo" --output none \
    --headers Content-Type=application/json \
    --body "{\"principalId\": \"$identity\", \"resourceId\": \"$graph_id\", \"appRoleId\": \"$id\"}"
}

remove() {
  local name=$1 assignment=$2
  printf 'remove   %s\n' "$name"
  [ "$what_if" = no ] || return 0
  call_graph delete "servicePrincipals/$identity/appRoleAssignments/$assignment" --output none
}

# Brings one permission to what is asked. Takes its name, id, when it is needed, and its assignment: empty if not held.
settle() {
  local name=$1 id=$2 when=$3 assignment=$4
  if [ "$undo" = yes ] && [ -n "$assignment" ]; then
    remove "$name" "$assignment"
  elif [ "$undo" = yes ]; then
    printf 'not held %s\n' "$name"
  elif [ -n "$assignment" ]; then
    printf 'held     %s\n' "$name"
  elif [[ $wanted == *" $when "* ]]; then
    grant "$name" "$id"
  else
    printf 'not now  %s: only %s needs it\n' "$name" "$when"
  fi
}

# Prints name and assignment of each held permission that opens every mailbox, whoever granted it. The mailboxes are
# opened one by one and in Exchange: exchange-access.ps1.
find_mail_roles() {
  awk -F '\t' -v OFS='\t' 'NR == FNR { name[$2] = $1; next } name[$1] ~ /^Mail/ { print name[$1], $2 }' \
    <(printf '%s\n' "$roles") <(printf '%s\n' "$held")
  awk -F '\t' '$1 == "Office 365 Exchange Online"' <<<"$held_elsewhere"
}

warn_of_mail_role() {
  cat >&2 <<END
WARNING: the identity holds $1 in Entra, which opens every mailbox of the tenant whatever Exchange says. Remove it:
  az rest --method delete --url $GRAPH/servicePrincipals/$identity/appRoleAssignments/$2
END
}

main() {
  local name id when assignment permissions mail_roles
  read_options "$@"
  permissions=$(list_permissions)
  read_tenant
  check_ids
  while read -r name id when; do
    settle "$name" "$id" "$when" "$(look_up "$id" <<<"$held")"
  done <<<"$permissions"
  if [ "$what_if" = yes ]; then echo 'Nothing was changed (--what-if).'; fi
  mail_roles=$(find_mail_roles)
  [ -n "$mail_roles" ] || return 0
  while IFS=$'\t' read -r name assignment; do
    warn_of_mail_role "$name" "$assignment"
  done <<<"$mail_roles"
  return "$MAIL_ROLE_HELD"
}

main "$@"
