<#
.SYNOPSIS
Lets the app read the reporting mailboxes, and answer from one mailbox, and open no other, by RBAC for Applications.

.DESCRIPTION
It makes three things, each only where it is absent, and then asks Exchange whether they do what they should:

  1. a service principal in Exchange that points to the managed identity's enterprise application in Entra;
  2. a management scope that holds exactly the reporting mailboxes;
  3. an assignment of the role "Application Mail.Read" to the app, for that scope.

With -FeedbackMailbox, for the setting REPORTER_FEEDBACK, it makes a second scope that holds that mailbox alone, and
assigns two roles for it: "Application Mail.Send" to answer reporters, and "Application Mail.Read" to look into its Sent
Items where Graph's answer to a mail was lost. It must be a mailbox of its own.

With -SecOpsMailbox the reporting mailboxes also become SecOps mailboxes in the advanced delivery policy: filters then
take no action on what reaches them from outside, and Defender takes no report for a click in a phishing simulation.
Mail from inside the tenant is not covered: Microsoft says that such messages are quarantined all the same, and what
your users report comes from inside. Give the reporting mailboxes an anti-spam policy of their own that leaves messages
within the organization alone; this script makes none. Do not switch that protection off for all mailboxes.

Everything is examined first: sign-in, rights, each mailbox, the scopes that stand. An error then changes nothing; one
after the first change says what is done and what is not. Each change is one line ("done: ..."). A second run changes
nothing, unless the list of mailboxes is another: then the scope follows the list. The exit code is 1 after any error.

Everything it makes is called "Defender Submissions <object id>". -Undo removes what has that name, and nothing else; it
asks Exchange afterwards, and names what stays because somebody else made it. The first removal that Exchange refuses
ends it.

A new identity has a new object id, and Exchange refuses a second scope with the filter of one that stands: run -Undo
with the old ids before you run it with the new ones.

Which mailboxes are in scope is written in the scope itself, by their Exchange GUIDs:
  - An attribute such as CustomAttribute15 would be set on the mailboxes, and a group or an administrative unit has
    members: whoever may edit a mailbox, that group or that unit could then open another mailbox to the app. The scope
    can be changed by those only who could grant the role anyway.
  - A filter on PrimarySmtpAddress would also match a secondary address, and whoever gets the address next.
  - A mailbox that is deleted and made anew has another GUID. The app then reads nothing: run this script again.

Nothing here helps against Mail.Read granted in Entra, which opens every mailbox and adds to what Exchange grants:
graph-access.sh looks for that. Exchange may take two hours to heed a change; the test at the end sees it at once.

Sources: learn.microsoft.com/exchange/permissions-exo/application-rbac,
learn.microsoft.com/defender-office-365/advanced-delivery-policy-configure (2025-02-11).

.PARAMETER AppId
Client id (application id) of the managed identity.

.PARAMETER ObjectId
Object id of the managed identity's enterprise application: its principal id, not an app registration's object id.

.PARAMETER ReportingMailbox
Addresses of the reporting mailboxes. The value of the setting REPORTING_MAILBOXES will do, folders and all. An alias
stands for its mailbox, and a mailbox that is named twice counts once.

.PARAMETER ControlMailbox
Address of any other mailbox: the app must not be able to read it.

.PARAMETER FeedbackMailbox
Address of the mailbox that reporters are answered from: the value of the setting FEEDBACK_MAILBOX. Leave it out where
REPORTER_FEEDBACK is off. -Undo takes these roles back with or without it.

.PARAMETER SecOpsMailbox
Also sets up the reporting mailboxes, or with -Undo takes them out, in the advanced delivery policy. A mailbox that has
left the list is taken out of a policy that this script has made, and named where somebody else made the policy.

.PARAMETER Undo
Takes back what a run with the same options has made.

.PARAMETER Connect
Signs in to Exchange Online first. Without it the session must have done so (Connect-ExchangeOnline).

.EXAMPLE
./exchange-access.ps1 -AppId <client id> -ObjectId <object id> -ReportingMailbox phish@contoso.com `
    -ControlMailbox ceo@contoso.com -SecOpsMailbox -Connect -WhatIf

Prints every change and makes none. Without -WhatIf it makes them. With -Undo it takes them back.

.NOTES
Needs the module ExchangeOnlineManagement, whose versions from 3.10.0 on need PowerShell 7.6, and the role group
Organization Management. With -SecOpsMailbox also Security Administrator: Microsoft wants both for advanced delivery.
#>

#Requires -Version 5.1

[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSAvoidGlobalVars', '',
    Justification = 'Functions of a module see no other preference of a script: PowerShell, issue 4568')]
[Diagnostics.CodeAnalysis.SuppressMessageAttribute('PSReviewUnusedParameter', '',
    Justification = 'Some are used in blocks only that are handed on')]
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)] [guid] $AppId,
    [Parameter(Mandatory)] [guid] $ObjectId,
    [Parameter(Mandatory)] [string[]] $ReportingMailbox,
    [Parameter(Mandatory)] [string] $ControlMailbox,
    [string] $FeedbackMailbox,
    [switch] $SecOpsMailbox,
    [switch] $Undo,
    [switch] $Connect
)

Set-StrictMode -Off # Exchange leaves out a property that has no value, and the caller may be strict
$InformationPreference = 'Continue'
$dryRun = [bool] $WhatIfPreference
$WhatIfPreference = $false # by pwsh -File the script shares its scope with Exchange's module, which has to sign in

$label = "Defender Submissions $ObjectId" # 57 of the 64 characters that Exchange allows
$role = 'Application Mail.Read'
$sendLabel = "$label sends"
$sendRole = 'Application Mail.Send'
$findLabel = "$label finds"
$grants = @( # every assignment that this script makes; two are for the mailbox that answers come from
    @{ Name = $label; Role = $role; Scope = $label }
    @{ Name = $sendLabel; Role = $sendRole; Scope = $sendLabel }
    @{ Name = $findLabel; Role = $role; Scope = $sendLabel }
)
$policyName = 'SecOpsOverridePolicy' # Exchange knows one policy, and calls it so whatever name it is given
$app = "$ObjectId (application $AppId)"
$rights = 'the role group Organization Management'
if ($SecOpsMailbox) { $rights += ', and Security Administrator for advanced delivery' }
$plan = [System.Collections.Generic.List[object]]::new() # the changes that are still to be made, in their order
$made = [System.Collections.Generic.List[string]]::new()

# Exchange's module writes an error as <code>|<type>|<text>.
function Get-ErrorText($ErrorRecord) { "$($ErrorRecord.Exception.Message)" -replace '^\w*\|[\w.]*\|', '' }

# What a failed run ends with: the cause, how far it came, and what it needs.
function Get-Failure([string] $Cmdlet, $ErrorRecord) {
    $lines = @(
        "$Cmdlet failed: $(Get-ErrorText $ErrorRecord)"
        if ($made.Count) { "Done before it: $($made -join '; ')." } else { 'Nothing was changed.' }
        if ($plan.Count) { "Not done: $(@($plan | ForEach-Object { $_.Text }) -join '; ')." }
        "It needs $rights. When the cause is gone, run the same again: what is done stays done."
    )
    $lines -join "`n"
}

# What Exchange answers, or an error that says how far the run came.
function Read-Exchange([string] $Cmdlet, [scriptblock] $Read) {
    try { & $Read } catch { throw (Get-Failure $Cmdlet $_) }
}

# Plans a change, made with what is given -With it. A block -Unless that returns a reason, when the turn comes, leaves the
# thing as it is.
function Add-Step([string] $Cmdlet, [string] $Target, [scriptblock] $Change, [scriptblock] $Unless, $With) {
    $text = "$Cmdlet on $Target"
    $step = @{ Cmdlet = $Cmdlet; Target = $Target; Text = $text; Change = $Change; Unless = $Unless; With = $With }
    $plan.Add([pscustomobject] $step)
}

# Makes the planned changes in turn, and tells each. The first that Exchange refuses ends the run.
function Invoke-Plan {
    [CmdletBinding(SupportsShouldProcess)] param()
    while ($plan.Count) {
        $step = $plan[0]
        $reason = if ($step.Unless) { & $step.Unless }
        if ($reason) { Write-Warning "stays: $($step.Target), $reason" }
        elseif ($PSCmdlet.ShouldProcess($step.Target, $step.Cmdlet)) {
            try { $null = & $step.Change $step.With } catch { throw (Get-Failure $step.Cmdlet $_) }
            $made.Add($step.Text)
            Write-Information "done: $($step.Text)"
        }
        elseif (-not $dryRun) { Write-Information "left out: $($step.Text)" }
        $plan.RemoveAt(0)
    }
}

# The cmdlets of a list that this session does not have.
function Get-Absent([string[]] $Name) { $Name | Where-Object { -not (Get-Command -Name $_ -ErrorAction Ignore) } }

# A session has none of Exchange's cmdlets before sign-in, and then those that the roles of the account allow.
function Assert-Cmdlet([string[]] $Name) {
    $absent = @(Get-Absent $Name)
    if ('Get-Mailbox' -in $absent -or 'Connect-ExchangeOnline' -in $absent) {
        $install = if (Get-Absent 'Connect-ExchangeOnline') {
            ", which PowerShell $($PSVersionTable.PSVersion) does not find: Install-Module ExchangeOnlineManagement"
        }
        throw "Not signed in to Exchange Online: sign in first (-Connect); needs ExchangeOnlineManagement$install."
    }
    if ($absent) { throw "The roles of this account do not allow $($absent -join ', '). It needs $rights." }
}

# The mailbox that a name stands for. What is wrong with the name goes to the problems.
function Resolve-Mailbox([string] $Name, [System.Collections.Generic.List[string]] $Problem) {
    try { $found = @(Get-Mailbox -Identity $Name | Where-Object { $_ }) }
    catch {
        $absent = "$($_.Exception.Message) $($_.CategoryInfo.Reason)" -match "NotFoundException|couldn't be found"
        $Problem.Add("$Name $(if ($absent) { 'was not found' } else { 'could not be read' }): $(Get-ErrorText $_)")
        return
    }
    if ($found.Count -eq 1) { $found[0] }
    else { $Problem.Add("$Name $(if ($found) { "stands for $($found.Count) mailboxes" } else { 'was not found' })") }
}

# Every address of a mailbox, without the prefix that says its kind.
function Get-Address($Mailbox) {
    $Mailbox | ForEach-Object { "$($_.PrimarySmtpAddress)"; $_.EmailAddresses } |
        ForEach-Object { "$_" -replace '^smtp:', '' } | Where-Object { $_ }
}

# Exchange stores a filter with parentheses, quotes and spaces of its own: two are the same if their clauses are.
function Get-FilterClause([string] $Filter) {
    $clauses = ($Filter.ToLowerInvariant() -replace '[(){}"''\s]', '') -split '-or' | Sort-Object -Unique
    $clauses -join ' '
}

function Get-Pointer {
    Read-Exchange 'Get-ServicePrincipal' { Get-ServicePrincipal } | Where-Object { "$($_.ObjectId)" -eq "$ObjectId" }
}

function Get-Scope { Read-Exchange 'Get-ManagementScope' { Get-ManagementScope } | Where-Object { $_ } }

function Get-Assignment([string] $Role) {
    Read-Exchange 'Get-ManagementRoleAssignment' { Get-ManagementRoleAssignment -Role $Role } | Where-Object { $_ }
}

# The assignment that stands for one of `$grants`.
function Get-Own($Grant) { @(Get-Assignment $Grant.Role | Where-Object { $_.Name -eq $Grant.Name })[0] }

# What of advanced delivery is not about to be deleted. Without -SecOpsMailbox the account need not be allowed to read
# it; then it is read where that can be done, to name what is left in it.
function Get-Policy {
    if ($SecOpsMailbox) { $all = Read-Exchange 'Get-SecOpsOverridePolicy' { Get-SecOpsOverridePolicy } }
    elseif (-not (Get-Absent 'Get-SecOpsOverridePolicy')) {
        try { $all = Get-SecOpsOverridePolicy } catch { Write-Verbose (Get-ErrorText $_) }
    }
    $all | Where-Object { $_ -and $_.Mode -ne 'PendingDeletion' }
}

function Get-Rule {
    Read-Exchange 'Get-ExoSecOpsOverrideRule' { Get-ExoSecOpsOverrideRule } |
        Where-Object { $_ -and $_.Mode -ne 'PendingDeletion' }
}

# What Exchange grants the app on a mailbox, also by an assignment made by hand: anything but a plain "False".
function Get-Grant([string] $Mailbox) {
    Read-Exchange 'Test-ServicePrincipalAuthorization' {
        Test-ServicePrincipalAuthorization -Identity "$ObjectId" -Resource $Mailbox
    } | Where-Object { $_ -and "$($_.InScope)" -ne 'False' }
}

# The assignments of the app that this script did not make: what each grants, and its name where Exchange tells it.
function Get-ForeignAssignment {
    $rows = Read-Exchange 'Test-ServicePrincipalAuthorization' {
        Test-ServicePrincipalAuthorization -Identity "$ObjectId"
    } | Where-Object { $_ -and "$($_.AllowedResourceScope)" -notin $label, $sendLabel }
    foreach ($row in $rows) {
        $found = if ($row.RoleName) { Get-Assignment "$($row.RoleName)" }
        $found = $found | Where-Object {
            $_.Name -notin $grants.Name -and "$($_.App) $($_.RoleAssignee) $($_.RoleAssigneeName)" -match "$ObjectId|$AppId"
        }
        "$($row.RoleName) in scope '$($row.AllowedResourceScope)', assignment '$($found.Name -join "', '")'"
    }
}

# Which mailboxes a scope holds that are no longer meant. One that was deleted since is none.
function Get-Dropped($Scope, $Mailbox) {
    $deleted = [System.Collections.Generic.List[string]]::new()
    [regex]::Matches("$($Scope.RecipientFilter)", '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}') |
        Where-Object { $_.Value -notin $Mailbox.Guid } | ForEach-Object { Resolve-Mailbox $_.Value $deleted }
}

# What a run with other mailboxes, or somebody else, has left in advanced delivery.
function Write-StayingAddress([string[]] $Address) {
    if (-not $Address) { return }
    Write-Warning "stays in advanced delivery: $($Address -join ', '). Take out what is no SecOps mailbox."
}

function Invoke-Undo {
    foreach ($grant in $grants | Where-Object { Get-Own $_ }) {
        Add-Step 'Remove-ManagementRoleAssignment' $grant.Name -With $grant.Name -Change {
            Remove-ManagementRoleAssignment -Identity $args[0] -Confirm:$false
        }
    }
    foreach ($name in $label, $sendLabel | Where-Object { $_ -in $scopes.Name }) {
        Add-Step 'Remove-ManagementScope' $name -With $name -Change {
            Remove-ManagementScope -Identity $args[0] -Confirm:$false
        }
    }
    if ($pointer -and $pointer.DisplayName -eq $label) {
        Add-Step 'Remove-ServicePrincipal' $app -Change {
            Remove-ServicePrincipal -Identity "$ObjectId" -Confirm:$false
        } -Unless { if (Get-ForeignAssignment) { 'as assignments hang on it that this script did not make' } }
    }
    $leaving = @($secOps | Where-Object { $SecOpsMailbox -and $_ -in @($names; Get-Address $mailboxes) })
    $staying = @($secOps | Where-Object { $_ -notin $leaving })
    if ($leaving -and $staying) {
        Add-Step 'Set-SecOpsOverridePolicy' "$policyName, out: $($leaving -join ', ')" -Change {
            Set-SecOpsOverridePolicy -Identity $policyName -RemoveSentTo $leaving
        }
    }
    elseif ($leaving -and $ours) {
        Add-Step 'Remove-SecOpsOverridePolicy' $policyName -Change {
            Remove-SecOpsOverridePolicy -Identity $policyName -Confirm:$false # its rule goes with it
        }
    }
    if (-not $plan.Count) { Write-Information "Nothing that is called '$label' was found." }
    Invoke-Plan -WhatIf:$dryRun
    if ($leaving -and -not $staying -and -not $ours) {
        Write-Warning "stays: $policyName, which somebody else made, with $($leaving -join ', ')"
    }
    if ($ours) { Write-StayingAddress $staying }
    if ($dryRun) { Write-Information 'Nothing was changed (-WhatIf).' } else { Assert-Undone }
}

# What Exchange says of it afterwards: what others made, and whether all that was removed is gone.
function Assert-Undone {
    $pointer = @(Get-Pointer)[0]
    if ($pointer -and $pointer.DisplayName -ne $label) {
        Write-Warning "stays: service principal $ObjectId, which somebody else made ('$($pointer.DisplayName)')"
    }
    if ($pointer) { Get-ForeignAssignment | ForEach-Object { Write-Warning "stays: $_" } }
    $left = @(
        if ($grants | Where-Object { Get-Own $_ }) { 'Remove-ManagementRoleAssignment' }
        if (Get-Scope | Where-Object { $_.Name -in $label, $sendLabel }) { 'Remove-ManagementScope' }
        if ($pointer) { 'Remove-ServicePrincipal' }
    ) | Where-Object { $made -like "$_ *" }
    if ($left) { throw "Exchange reported no error, and still has what it should remove: $($left -join ', ')." }
    if ($made.Count) { Write-Information "Undone: $label" }
}

# A filter that holds these mailboxes. An error where another scope has it, which Exchange would refuse.
function Get-Filter([string] $Name, $Mailbox) {
    $filter = ($Mailbox | ForEach-Object { "Guid -eq '$($_.Guid)'" }) -join ' -or '
    $same = @($scopes | Where-Object { (Get-FilterClause $_.RecipientFilter) -eq (Get-FilterClause $filter) })
    if ($same -and $Name -notin $same.Name) {
        throw @(
            "The management scope '$($same[0].Name)' holds the same mailboxes, and Exchange refuses a second such"
            "scope. If an earlier identity had it, run -Undo with that one's ids first. Nothing was changed."
        ) -join ' '
    }
    $filter
}

# Plans that a scope holds exactly these mailboxes, and tells which it holds that are no longer meant.
function Add-Scope([string] $Name, [string] $Filter, $Mailbox) {
    $held = @($Mailbox | ForEach-Object { "$($_.PrimarySmtpAddress)" }) -join ', '
    $found = @($scopes | Where-Object { $_.Name -eq $Name })[0]
    if (-not $found) {
        Add-Step 'New-ManagementScope' "$Name, for ${held}: $Filter" -With $Name, $Filter -Change {
            New-ManagementScope -Name $args[0][0] -RecipientRestrictionFilter $args[0][1]
        }
    }
    elseif ((Get-FilterClause $found.RecipientFilter) -eq (Get-FilterClause $Filter)) {
        Write-Information "stands: management scope for $held"
    }
    else {
        Get-Dropped $found $Mailbox
        Add-Step 'Set-ManagementScope' "$Name, for ${held}: $Filter" -With $Name, $Filter -Change {
            Set-ManagementScope -Identity $args[0][0] -RecipientRestrictionFilter $args[0][1]
        }
    }
}

# Plans the assignment of a role, where it does not stand.
function Add-Assignment($Grant) {
    if (Get-Own $Grant) {
        Write-Information "stands: role $($Grant.Role)"
        return
    }
    Add-Step 'New-ManagementRoleAssignment' "$($Grant.Name), $($Grant.Role)" -With $Grant -Change {
        param($of)
        New-ManagementRoleAssignment -Name $of.Name -App "$ObjectId" -Role $of.Role -CustomResourceScope $of.Scope
    }
}

function Invoke-Grant($Control) {
    $addresses = @($mailboxes | ForEach-Object { "$($_.PrimarySmtpAddress)" })
    $filter = Get-Filter $label $mailboxes
    $sendFilter = if ($feedback) { Get-Filter $sendLabel $feedback }

    # 1. The pointer. One that was made for another purpose does as well, and -Undo leaves it.
    if ($pointer) { Write-Information "stands: service principal $ObjectId" }
    else {
        Add-Step 'New-ServicePrincipal' $app -Change {
            New-ServicePrincipal -AppId "$AppId" -ObjectId "$ObjectId" -DisplayName $label
        }
    }

    # 2. The scopes, which follow the list of mailboxes. 3. The roles.
    $dropped = @(Add-Scope $label $filter $mailboxes)
    Add-Assignment $grants[0]
    if ($feedback) {
        $dropped += @(Add-Scope $sendLabel $sendFilter $feedback)
        $grants[1..2] | ForEach-Object { Add-Assignment $_ }
    }
    elseif ($sendLabel -in $scopes.Name) {
        Write-Warning "stays: the app may send mail, as -FeedbackMailbox once said. -Undo takes it back, with all else."
    }

    # Advanced delivery: the policy names the mailboxes, by their primary addresses, and the rule puts it to work.
    $missing = @($addresses | Where-Object { $_ -notin $secOps })
    $others = @($secOps | Where-Object { $_ -notin $addresses })
    $leaving = @()
    if ($SecOpsMailbox) {
        if ($ours) { $leaving = @($others | Where-Object { $_ -in @(Get-Address $mailboxes; Get-Address $dropped) }) }
        if (-not $policy) {
            Add-Step 'New-SecOpsOverridePolicy' "$policyName, for $($addresses -join ', ')" -Change {
                New-SecOpsOverridePolicy -Name $policyName -SentTo $addresses -Comment $label
            }
        }
        elseif (-not $missing) { Write-Information "stands: SecOps mailboxes $($addresses -join ', ')" }
        else {
            Add-Step 'Set-SecOpsOverridePolicy' "$policyName, in: $($missing -join ', ')" -Change {
                Set-SecOpsOverridePolicy -Identity $policyName -AddSentTo $missing
            }
        }
        if ($leaving) {
            Add-Step 'Set-SecOpsOverridePolicy' "$policyName, out: $($leaving -join ', ')" -Change {
                Set-SecOpsOverridePolicy -Identity $policyName -RemoveSentTo $leaving
            }
        }
        if (-not (Get-Rule)) {
            Add-Step 'New-ExoSecOpsOverrideRule' $policyName -Change {
                New-ExoSecOpsOverrideRule -Name 'SecOpsOverrideRule' -Policy $policyName
            }
        }
    }
    Invoke-Plan -WhatIf:$dryRun
    $staying = $others | Where-Object { $_ -notin $leaving -and ($ours -or $_ -in @(Get-Address $dropped)) }
    Write-StayingAddress $staying
    if ($dryRun) { Write-Information 'Nothing was changed (-WhatIf), and so nothing is tested.' }
    else { Assert-Granted $addresses @($Control; $dropped) }
}

# 4. What Exchange makes of it. The app must be kept out of the control mailbox, and of what has left the lists, and may
# send from the mailbox of the answers alone.
function Assert-Granted([string[]] $Address, $Other) {
    $closed = @($Address | Where-Object { -not (Test-Granted $_ $role 'readable by the app') })
    foreach ($one in $Address | Where-Object { Test-Granted $_ $sendRole 'sends the app''s mail' }) {
        throw "The app has $sendRole on $one, which this script did not grant: remove that assignment."
    }
    if ($feedback) {
        $from = "$($feedback.PrimarySmtpAddress)"
        if (-not (Test-Granted $from $role 'readable by the app')) { $closed += $from }
        $silent = -not (Test-Granted $from $sendRole 'sends the app''s mail')
    }
    foreach ($one in $Other | ForEach-Object { "$($_.PrimarySmtpAddress)" }) {
        $open = @(Get-Grant $one | ForEach-Object { if ($_.RoleName) { $_.RoleName } else { 'a role without a name' } })
        Write-Information "$one readable by the app: $($open.Count -gt 0)"
        if ($open) {
            throw "The app has $($open -join ', ') on $one, which this script did not grant: remove that assignment."
        }
    }
    $lacks = @(
        if ($closed) { "The app could not read $($closed -join ', ')." }
        if ($silent) { "The app could not send from $from." }
    )
    if ($lacks) { throw "$lacks If this run has just granted it, run the script again." }
}

# Whether the app has a role on a mailbox; tells it.
function Test-Granted([string] $Address, [string] $Role, [string] $Means) {
    $held = $Role -in @(Get-Grant $Address | ForEach-Object { "$($_.RoleName)" })
    Write-Information "$Address ${Means}: $held"
    $held
}

$needed = @(
    'Get-Mailbox', 'Get-ServicePrincipal', 'Get-ManagementScope', 'Get-ManagementRoleAssignment'
    'Test-ServicePrincipalAuthorization'
    if ($Undo) { 'Remove-ServicePrincipal', 'Remove-ManagementScope', 'Remove-ManagementRoleAssignment' }
    else { 'New-ServicePrincipal', 'New-ManagementScope', 'Set-ManagementScope', 'New-ManagementRoleAssignment' }
    if ($SecOpsMailbox) { 'Get-SecOpsOverridePolicy', 'Set-SecOpsOverridePolicy' }
    if ($SecOpsMailbox -and $Undo) { 'Remove-SecOpsOverridePolicy' }
    elseif ($SecOpsMailbox) { 'New-SecOpsOverridePolicy', 'Get-ExoSecOpsOverrideRule', 'New-ExoSecOpsOverrideRule' }
)

# Exchange's cmdlets are functions of a module. They report an error and go on, unless the global preference is to stop:
# a script's own is hidden from them (PowerShell, issue 4568), and not all take -ErrorAction (Microsoft365DSC, 6753).
$before = $global:ErrorActionPreference
$ErrorActionPreference = 'Stop'
$global:ErrorActionPreference = 'Stop'
try {
    $names = @($ReportingMailbox -split ',' | ForEach-Object { ($_ -split '/')[0].Trim() } | Where-Object { $_ })
    if (-not $names) { throw 'No reporting mailbox was named.' }
    if ($Connect) {
        Assert-Cmdlet 'Connect-ExchangeOnline'
        $null = Read-Exchange 'Connect-ExchangeOnline' { Connect-ExchangeOnline -ShowBanner:$false }
    }
    Assert-Cmdlet $needed

    # Who is meant. A wrong name ends the run before any change. -Undo works for a mailbox that is gone, too, and looks at
    # mailboxes for advanced delivery only.
    $problems = [System.Collections.Generic.List[string]]::new()
    $mailboxes = @()
    foreach ($name in $names | Where-Object { $SecOpsMailbox -or -not $Undo }) {
        $mailboxes += @(Resolve-Mailbox $name $problems | Where-Object { $_.Guid -notin $mailboxes.Guid })
    }
    $feedback = if ($FeedbackMailbox -and -not $Undo) { Resolve-Mailbox $FeedbackMailbox $problems }
    if ($Undo) { $problems | ForEach-Object { Write-Warning "$_ (it is looked for as it is written)" } }
    else {
        $control = Resolve-Mailbox $ControlMailbox $problems
        if ($problems) { throw "$($problems -join '; '). Nothing was changed." }
        if ($control.Guid -in $mailboxes.Guid) {
            throw "$ControlMailbox is a reporting mailbox. Name one that the app must not read."
        }
        if ($feedback -and $feedback.Guid -in @($mailboxes.Guid; $control.Guid)) {
            throw "$FeedbackMailbox is another mailbox of this run too. Answers need one of their own. Nothing was changed."
        }
    }

    # What the tenant has.
    $pointer = @(Get-Pointer)[0]
    $scopes = @(Get-Scope)
    $policy = @(Get-Policy)[0]
    $ours = $policy.Comment -eq $label
    $secOps = @($policy.SentTo | Where-Object { $_ } | ForEach-Object { "$_" })

    if ($Undo) { Invoke-Undo } else { Invoke-Grant $control }
}
finally {
    $global:ErrorActionPreference = $before
}
