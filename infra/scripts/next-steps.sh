#!/bin/sh
# Prints what is left to do after a deployment: the grants that Azure cannot make, with the ids filled in. Reads the
# outputs of main.bicep from environment variables of the same names, as azd sets them for its hooks. Changes nothing.
set -eu

sources=''
if [ "${DEFENDER_ALERTS:-}" = on ]; then sources="$sources --with-alerts"; fi
if [ -n "${HUNTING_QUERY:-}" ]; then sources="$sources --with-hunting"; fi

cat <<END

Deployed. Two grants are left, each by the administrator who may. If the app is not published yet, make them first: a token
without them is kept by Azure for a day. Until then submissions pause and nothing is lost.

1. Microsoft Graph, as Privileged Role Administrator (--what-if shows what it would do):

   infra/scripts/graph-access.sh --identity ${identityPrincipalId:-OBJECT_ID}$sources

2. Exchange Online, in PowerShell, as member of Organization Management and, for -SecOpsMailbox, Security Administrator
   (-WhatIf shows what it would do):

   infra/scripts/exchange-access.ps1 -Connect -SecOpsMailbox -AppId ${identityClientId:-CLIENT_ID} \`
     -ObjectId ${identityPrincipalId:-OBJECT_ID} \`
     -ReportingMailbox '${REPORTING_MAILBOXES:-MAILBOXES}' -ControlMailbox 'SOMEBODY_ELSE'

END
