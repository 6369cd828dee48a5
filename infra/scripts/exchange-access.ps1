#Requires -Version 5.1
<#
.SYNOPSIS
Lets the app read the reporting mailboxes and no other mailbox, by RBAC for Applications in Exchange Online.

.DESCRIPTION
It makes three things, each only where it is absent, and then asks Exchange whether they do what they should:

  1. a service principal in Exchange that points to the managed identity's enterprise application in Entra;
  2. a management scope that holds exactly the reporting mailboxes;
  3. an assignment of the role "Application Mail.Read" to the app, for that scope.

With -SecOpsMailbox the reporting mailboxes also become SecOps mailboxes in the advanced delivery policy, so that
Defender neither filters what users report nor takes a report for a click in a phishing simulation.

Everything it makes is called "Defender Submissions <object id>". -Undo removes what has that name, and nothing else. A
second run changes nothing, unless the list of mailboxes is another: then the scope follows the list.

Which mailboxes are in scope is written in the scope itself, by their Exchange GUIDs:
  - An attribute such as CustomAttribute15 would be set on the mailboxes, and a group or an administrative unit has
    members: whoever may edit a mailbox, that group or that unit could then open another mailbox to the app. The scope
    can be changed by those only who could grant the role anyway.
  - A filter on PrimarySmtpAddress would also match a secondary address, and whoever gets the address next.
  - A mailbox that is deleted and made anew has another GUID. The app then reads nothing: run this script again.

Nothing here helps against Mail.Read granted in Entra, which opens every mailbox and adds to what Exchange grants:
graph-access.sh looks for that. Exchange may take two hours to heed a change; step 4 sees it at once.

Sources: learn.microsoft.com/exchange/permissions-exo/application-rbac,
learn.microsoft.com/defender-office-365/advanced-delivery-policy-configure.

.PARAMETER AppId
Client id (application id) of the managed identity.

.PARAMETER ObjectId
Object id of the managed identity's enterprise application: its principal id, not an app registration's object id.

.PARAMETER ReportingMailbox
Addresses of the reporting mailboxes. The value of the setting REPORTING_MAILBOXES will do, folders and all.

.PARAMETER ControlMailbox
Address of any other mailbox: the app must not be able to read it.

.PARAMETER SecOpsMailbox
Also sets up the reporting mailboxes, or with -Undo takes them out, in the advanced delivery policy.

.PARAMETER Undo
Takes back what a run with the same options has made.

.PARAMETER Connect
Signs in to Exchange Online first. Without it the session must have done so (Connect-ExchangeOnline).

.EXAMPLE
./exchange-access.ps1 -AppId <client id> -ObjectId <object id> -ReportingMailbox phish@contoso.com `
    -ControlMailbox ceo@contoso.com -SecOpsMailbox -Connect -WhatIf

Prints every change and makes none. Without -WhatIf it makes them. With -Undo it takes them back.

.NOTES
Needs the module ExchangeOnlineManagement and the role group Organization Management.
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [guid] $AppId,
    [Parameter(Mandatory)] [guid] $ObjectId,
    [Parameter(Mandatory)] [string[]] $ReportingMailbox,
    [Parameter(Mandatory)] [string] $ControlMailbox,
    [switch] $SecOpsMailbox,
    [switch] $Undo,
    [switch] $Connect
)

Set-StrictMode -Version 1.0 # no higher: Exchange leaves out a property that has no value
$ErrorActionPreference = 'Stop'
$InformationPreference = 'Continue'

$label = "Defender Submissions $ObjectId" # 57 of the 64 characters that Exchange allows
$role = 'Application Mail.Read'
$policyName = 'SecOpsOverridePolicy' # Exchange knows one policy, and calls it so whatever name it is given

# Exchange stores a filter with parentheses, quotes and spaces of its own: two are the same if their clauses are.
function Get-FilterClause([string] $Filter) {
    ($Filter.ToLowerInvariant() -replace '[(){}"''\s]', '') -split '-or' | Sort-Object -Unique
}

# The roles by which Exchange would let the app into a mailbox, also those that somebody assigned by hand.
function Get-RoleInScope([guid] $ObjectId, [string] $Mailbox) {
    Test-ServicePrincipalAuthorization -Identity "$ObjectId" -Resource $Mailbox |
        Where-Object { "$($_.InScope)" -eq 'True' } | ForEach-Object { "$($_.RoleName)" }
}

$addresses = @($ReportingMailbox -split ',' | ForEach-Object { ($_ -split '/')[0].Trim() } | Where-Object { $_ })
if (-not $addresses) { throw 'No reporting mailbox was named.' }

if ($Connect) { Connect-ExchangeOnline -ShowBanner:$false }

# What the tenant has.
$pointer = Get-ServicePrincipal | Where-Object { "$($_.ObjectId)" -eq "$ObjectId" }
$scope = Get-ManagementScope | Where-Object { $_.Name -eq $label }
$assignment = Get-ManagementRoleAssignment -Role $role | Where-Object { $_.Name -eq $label }
$policy = $null
$rule = $null
if ($SecOpsMailbox) {
    $policy = Get-SecOpsOverridePolicy | Where-Object { $_.Mode -ne 'PendingDeletion' }
    $rule = Get-ExoSecOpsOverrideRule | Where-Object { $_.Mode -ne 'PendingDeletion' }
}
$secOps = @($policy | ForEach-Object { $_.SentTo } | Where-Object { $_ } | ForEach-Object { "$_" })

if ($Undo) {
    if ($assignment -and $PSCmdlet.ShouldProcess($label, 'Remove-ManagementRoleAssignment')) {
        Remove-ManagementRoleAssignment -Identity $label -Confirm:$false
    }
    if ($scope -and $PSCmdlet.ShouldProcess($label, 'Remove-ManagementScope')) {
        Remove-ManagementScope -Identity $label -Confirm:$false
    }
    if ($pointer -and $pointer.DisplayName -eq $label -and $PSCmdlet.ShouldProcess($label, 'Remove-ServicePrincipal')) {
        Remove-ServicePrincipal -Identity "$ObjectId" -Confirm:$false
    }
    $leaving = @($secOps | Where-Object { $_ -in $addresses })
    $staying = @($secOps | Where-Object { $_ -notin $addresses })
    if ($leaving -and $staying) {
        if ($PSCmdlet.ShouldProcess("$policyName, out: $($leaving -join ', ')", 'Set-SecOpsOverridePolicy')) {
            Set-SecOpsOverridePolicy -Identity $policyName -RemoveSentTo $leaving
        }
    }
    elseif ($leaving -and $policy.Comment -ne $label) {
        Write-Warning "$policyName was made by somebody else and would be left empty: it stays as it is."
    }
    elseif ($leaving -and $PSCmdlet.ShouldProcess($policyName, 'Remove-SecOpsOverridePolicy')) {
        Remove-SecOpsOverridePolicy -Identity $policyName -Confirm:$false # its rule goes with it
    }
    Write-Information $(if ($WhatIfPreference) { 'Nothing was changed (-WhatIf).' } else { "Undone: $label" })
    return
}

# A mailbox that is not there ends the script before it has changed anything.
$mailboxes = @($addresses | ForEach-Object { Get-Mailbox -Identity $_ })
$filter = ($mailboxes | ForEach-Object { "Guid -eq '$($_.Guid)'" }) -join ' -or '
$control = Get-Mailbox -Identity $ControlMailbox
if ($filter -match "$($control.Guid)") {
    throw "$ControlMailbox is a reporting mailbox. Name one that the app must not read."
}

# 1. The pointer. One that was made for another purpose does as well, and -Undo leaves it.
if ($pointer) {
    Write-Information "stands: service principal $ObjectId"
}
elseif ($PSCmdlet.ShouldProcess("$ObjectId (application $AppId)", 'New-ServicePrincipal')) {
    $null = New-ServicePrincipal -AppId "$AppId" -ObjectId "$ObjectId" -DisplayName $label
}

# 2. The scope, which follows the list of mailboxes.
if (-not $scope) {
    if ($PSCmdlet.ShouldProcess("$label, for $($addresses -join ', '): $filter", 'New-ManagementScope')) {
        $null = New-ManagementScope -Name $label -RecipientRestrictionFilter $filter
    }
}
elseif ("$(Get-FilterClause $scope.RecipientFilter)" -eq "$(Get-FilterClause $filter)") {
    Write-Information "stands: management scope for $($addresses -join ', ')"
}
elseif ($PSCmdlet.ShouldProcess("$label, for $($addresses -join ', '): $filter", 'Set-ManagementScope')) {
    Set-ManagementScope -Identity $label -RecipientRestrictionFilter $filter
}

# 3. The role.
if ($assignment) {
    Write-Information "stands: role $role"
}
elseif ($PSCmdlet.ShouldProcess("$label, $role", 'New-ManagementRoleAssignment')) {
    $null = New-ManagementRoleAssignment -Name $label -App "$ObjectId" -Role $role -CustomResourceScope $label
}

# Advanced delivery: the policy names the mailboxes, the rule puts it to work.
if ($SecOpsMailbox) {
    $missing = @($addresses | Where-Object { $_ -notin $secOps })
    if (-not $policy) {
        if ($PSCmdlet.ShouldProcess("$policyName, for $($addresses -join ', ')", 'New-SecOpsOverridePolicy')) {
            $null = New-SecOpsOverridePolicy -Name $policyName -SentTo $addresses -Comment $label
        }
    }
    elseif (-not $missing) {
        Write-Information "stands: SecOps mailboxes $($addresses -join ', ')"
    }
    elseif ($PSCmdlet.ShouldProcess("$policyName, in: $($missing -join ', ')", 'Set-SecOpsOverridePolicy')) {
        Set-SecOpsOverridePolicy -Identity $policyName -AddSentTo $missing
    }
    if (-not $rule -and $PSCmdlet.ShouldProcess($policyName, 'New-ExoSecOpsOverrideRule')) {
        $null = New-ExoSecOpsOverrideRule -Name 'SecOpsOverrideRule' -Policy $policyName
    }
}

# 4. What Exchange makes of it.
if ($WhatIfPreference) {
    Write-Information 'Nothing was changed (-WhatIf), and so nothing is tested.'
    return
}
$closed = @($addresses | Where-Object { $role -notin @(Get-RoleInScope $ObjectId $_) })
$open = @(Get-RoleInScope $ObjectId $ControlMailbox)
foreach ($one in $addresses) { Write-Information "$one readable by the app: $($one -notin $closed)" }
Write-Information "$ControlMailbox readable by the app: $($open.Count -gt 0)"
if ($open) {
    throw "The app has $($open -join ', ') on $ControlMailbox, which this script did not grant: remove that assignment."
}
if ($closed) {
    throw "The app could not read $($closed -join ', '). If this run has just granted it, run the script again."
}
