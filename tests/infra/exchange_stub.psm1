# Stands in for Exchange Online after sign-in: keeps a tenant in a JSON file, whose path is in EXCHANGE_STATE, and notes
# each change in it.
#
# As in Microsoft's module, which a sign-in makes and imports, each cmdlet is a function that calls Execute-Command, and
# an error is one that Write-ErrorMessage writes: it reports, and does not stop (timmcmic/DLConversionV2, issue 129,
# shows it, with the form of its text). Each has the parameters of Microsoft's reference that a script may need, and no
# other (learn.microsoft.com/powershell/module/exchangepowershell); test_exchange_syntax.py holds the script to them also
# where there is no PowerShell to run it. The tenant's file may also say of a cmdlet that it
#   faults   reports an error: {"cmdlet", "message"}, and "on", a pattern for the arguments, for some calls only;
#   ignores  takes a change, reports nothing and does nothing: its name;
#   answers  returns something else: {"cmdlet", "objects"}, and "on" as above;
#   waits    never returns: its name.

Set-StrictMode -Off # whatever the session says

function Read-Tenant { Get-Content -LiteralPath $env:EXCHANGE_STATE -Raw | ConvertFrom-Json }

function Save-Tenant($Tenant, [string] $Change) {
    $Tenant.changes = @($Tenant.changes) + $Change
    [System.IO.File]::WriteAllText($env:EXCHANGE_STATE, ($Tenant | ConvertTo-Json -Depth 9))
}

function Write-ErrorMessage {
    [CmdletBinding()] param([string] $Message)
    $type, $text = $Message -split '\|', 2
    if (-not $text) { $type, $text = 'InvalidOperationException', $Message }
    $reported = [System.InvalidOperationException]::new("Ex000000|Microsoft.Exchange.Configuration.Tasks.$type|$text")
    $PSCmdlet.WriteError([System.Management.Automation.ErrorRecord]::new($reported, 'stand-in', 'NotSpecified', $null))
}

function Execute-Command([string] $Cmdlet, $Given) {
    $tenant = Read-Tenant
    $arguments = @($Given.Keys | Sort-Object | ForEach-Object { "-$_ $($Given[$_])" }) -join ' '
    if ($Cmdlet -in $tenant.waits) {
        [System.IO.File]::WriteAllText("$env:EXCHANGE_STATE.waits", $Cmdlet)
        Start-Sleep -Seconds 600
    }
    $fault, $answer = foreach ($kind in $tenant.faults, $tenant.answers) {
        , @($kind | Where-Object { $_.cmdlet -eq $Cmdlet -and $arguments -match $_.on })[0]
    }
    if ($fault) { Write-ErrorMessage $fault.message }
    elseif ($answer) { $answer.objects }
    elseif ($Cmdlet -notin $tenant.ignores) {
        try { & "Server-$Cmdlet" $tenant $Given } catch { Write-ErrorMessage $_.Exception.Message }
    }
}

function Stop-Absent([string] $Identity) {
    $text = "The operation couldn't be performed because object '$Identity' couldn't be found on 'stand-in'."
    throw "ManagementObjectNotFoundException|$text"
}

function Find-Mailbox($Tenant, [string] $Identity) {
    $found = @($Tenant.mailboxes | Where-Object {
            $Identity -in @($_.PrimarySmtpAddress, $_.Alias, $_.DisplayName, $_.Guid) -or
            $Identity -in @($_.EmailAddresses -replace '^smtp:', '')
        })
    if (-not $found) { Stop-Absent $Identity }
    $found
}

function Find-Named($All, [string] $Name) {
    $found = $All | Where-Object { $_.Name -eq $Name -and $_.Mode -ne 'PendingDeletion' }
    if (-not $found) { Stop-Absent $Name }
    $found
}

function Find-Principal($Tenant, [string] $Identity) {
    $found = $Tenant.principals | Where-Object { $Identity -in @($_.ObjectId, $_.AppId, $_.DisplayName) }
    if (-not $found) { Stop-Absent $Identity }
    $found
}

# Exchange's server code refuses the filter of another scope. The words of its error are not known.
function Assert-OnlyScope($Tenant, [string] $Name, [string] $Filter) {
    $clauses = ($Filter -replace '[() ]', '') -split '-or' | Sort-Object
    foreach ($one in @($Tenant.scopes | Where-Object { $_.Name -ne $Name })) {
        $others = ($one.RecipientFilter -replace '[() ]', '') -split '-or' | Sort-Object
        if ("$clauses" -eq "$others") { throw "ArgumentException|The scope '$($one.Name)' is similar." }
    }
}

function Server-Get-Mailbox($Tenant, $Given) { Find-Mailbox $Tenant $Given.Identity }

function Server-Get-ServicePrincipal($Tenant, $Given) { $Tenant.principals }

function Server-New-ServicePrincipal($Tenant, $Given) {
    if ($Tenant.principals | Where-Object { $_.ObjectId -eq $Given.ObjectId -or $_.AppId -eq $Given.AppId }) {
        throw 'ADObjectAlreadyExistsException|The service principal exists.'
    }
    $made = [pscustomobject] @{ AppId = $Given.AppId; ObjectId = $Given.ObjectId; DisplayName = $Given.DisplayName }
    $Tenant.principals = @($Tenant.principals) + $made
    Save-Tenant $Tenant 'New-ServicePrincipal'
    $made
}

function Server-Remove-ServicePrincipal($Tenant, $Given) {
    $gone = Find-Principal $Tenant $Given.Identity
    $Tenant.principals = @($Tenant.principals | Where-Object { $_ -ne $gone })
    Save-Tenant $Tenant 'Remove-ServicePrincipal'
}

function Server-Get-ManagementScope($Tenant, $Given) { $Tenant.scopes }

function Server-New-ManagementScope($Tenant, $Given) {
    if ($Given.Name.Length -gt 64) { throw 'The name is longer than 64 characters.' }
    if ($Given.Name -in $Tenant.scopes.Name) { throw 'ADObjectAlreadyExistsException|The scope exists.' }
    Assert-OnlyScope $Tenant $Given.Name $Given.RecipientRestrictionFilter
    $stored = '(' + ($Given.RecipientRestrictionFilter -replace ' -or ', ') -or (') + ')'
    $made = [pscustomobject] @{ Name = $Given.Name; RecipientFilter = $stored }
    $Tenant.scopes = @($Tenant.scopes) + $made
    Save-Tenant $Tenant 'New-ManagementScope'
    $made
}

function Server-Set-ManagementScope($Tenant, $Given) {
    $scope = Find-Named $Tenant.scopes $Given.Identity
    Assert-OnlyScope $Tenant $Given.Identity $Given.RecipientRestrictionFilter
    $scope.RecipientFilter = $Given.RecipientRestrictionFilter
    Save-Tenant $Tenant 'Set-ManagementScope'
}

function Server-Remove-ManagementScope($Tenant, $Given) {
    $gone = Find-Named $Tenant.scopes $Given.Identity
    if ($Tenant.assignments | Where-Object { $_.CustomResourceScope -eq $gone.Name }) { throw 'The scope is in use.' }
    $Tenant.scopes = @($Tenant.scopes | Where-Object { $_ -ne $gone })
    Save-Tenant $Tenant 'Remove-ManagementScope'
}

function Server-Get-ManagementRoleAssignment($Tenant, $Given) {
    $Tenant.assignments | Where-Object { $_.Role -eq $Given.Role }
}

function Server-New-ManagementRoleAssignment($Tenant, $Given) {
    if ($Given.Name.Length -gt 64) { throw 'The name is longer than 64 characters.' }
    $app = Find-Principal $Tenant $Given.App
    $scope = Find-Named $Tenant.scopes $Given.CustomResourceScope
    $made = [pscustomobject] @{
        Name = $Given.Name; Role = $Given.Role; RoleAssigneeName = $app.ObjectId; CustomResourceScope = $scope.Name
    }
    $Tenant.assignments = @($Tenant.assignments) + $made
    Save-Tenant $Tenant 'New-ManagementRoleAssignment'
    $made
}

function Server-Remove-ManagementRoleAssignment($Tenant, $Given) {
    $gone = Find-Named $Tenant.assignments $Given.Identity
    $Tenant.assignments = @($Tenant.assignments | Where-Object { $_ -ne $gone })
    Save-Tenant $Tenant 'Remove-ManagementRoleAssignment'
}

function Server-Test-ServicePrincipalAuthorization($Tenant, $Given) {
    $app = Find-Principal $Tenant $Given.Identity
    $mailbox = if ($Given.Resource) { Find-Mailbox $Tenant $Given.Resource }
    foreach ($assignment in @($Tenant.assignments | Where-Object { $_.RoleAssigneeName -eq $app.ObjectId })) {
        $scope = $Tenant.scopes | Where-Object { $_.Name -eq $assignment.CustomResourceScope }
        $inScope = -not $scope -or $scope.RecipientFilter -match $mailbox.Guid
        [pscustomobject] @{
            RoleName = $assignment.Role; GrantedPermissions = $assignment.Role -replace '^Application ', ''
            AllowedResourceScope = $(if ($scope) { $scope.Name } else { 'Organization' })
            InScope = $(if ($mailbox) { "$inScope" } else { 'Not Run' })
        }
    }
}

function Server-Get-SecOpsOverridePolicy($Tenant, $Given) { $Tenant.policies }

function Server-New-SecOpsOverridePolicy($Tenant, $Given) {
    if ($Tenant.policies | Where-Object { $_.Mode -ne 'PendingDeletion' }) { throw 'There can be one such policy.' }
    $null = $Given.SentTo | ForEach-Object { Find-Mailbox $Tenant $_ }
    $made = [pscustomobject] @{
        Name = 'SecOpsOverridePolicy'; SentTo = @($Given.SentTo); Comment = $Given.Comment; Mode = 'Enforce'
    }
    $Tenant.policies = @($Tenant.policies) + $made
    Save-Tenant $Tenant 'New-SecOpsOverridePolicy'
    $made
}

function Server-Set-SecOpsOverridePolicy($Tenant, $Given) {
    $policy = Find-Named $Tenant.policies $Given.Identity
    $null = $Given.AddSentTo | Where-Object { $_ } | ForEach-Object { Find-Mailbox $Tenant $_ }
    $policy.SentTo = @(@($policy.SentTo) + @($Given.AddSentTo) | Where-Object { $_ -and $_ -notin $Given.RemoveSentTo })
    Save-Tenant $Tenant 'Set-SecOpsOverridePolicy'
}

function Server-Remove-SecOpsOverridePolicy($Tenant, $Given) {
    $null = Find-Named $Tenant.policies $Given.Identity
    foreach ($one in @($Tenant.policies) + @($Tenant.rules)) { $one.Mode = 'PendingDeletion' }
    Save-Tenant $Tenant 'Remove-SecOpsOverridePolicy'
}

# Seen in Microsoft365DSC, issue 6753.
function Server-Get-ExoSecOpsOverrideRule($Tenant, $Given) {
    if ($Given.ContainsKey('ErrorAction')) {
        throw 'Some of the parameters specified are not present in the role definition for the current user.'
    }
    $Tenant.rules
}

function Server-New-ExoSecOpsOverrideRule($Tenant, $Given) {
    $null = Find-Named $Tenant.policies $Given.Policy
    $made = [pscustomobject] @{ Name = "_Exe:SecOpsOverrid:$([guid]::NewGuid())"; Mode = 'Enforce' }
    $Tenant.rules = @($Tenant.rules) + $made
    Save-Tenant $Tenant 'New-ExoSecOpsOverrideRule'
    $made
}

function Get-Mailbox {
    [CmdletBinding()] param([string] $Identity)
    Execute-Command 'Get-Mailbox' $PSBoundParameters
}

function Get-ServicePrincipal {
    [CmdletBinding()] param([string] $Identity)
    Execute-Command 'Get-ServicePrincipal' $PSBoundParameters
}

function New-ServicePrincipal {
    [CmdletBinding(SupportsShouldProcess)] param(
        [Parameter(Mandatory)] [string] $AppId, [Parameter(Mandatory)] [string] $ObjectId, [string] $DisplayName)
    if ($PSCmdlet.ShouldProcess($ObjectId)) { Execute-Command 'New-ServicePrincipal' $PSBoundParameters }
}

function Remove-ServicePrincipal {
    [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param([Parameter(Mandatory)] [string] $Identity)
    if ($PSCmdlet.ShouldProcess($Identity)) { Execute-Command 'Remove-ServicePrincipal' $PSBoundParameters }
}

function Get-ManagementScope {
    [CmdletBinding()] param([string] $Identity, [bool] $Exclusive, [switch] $Orphan)
    Execute-Command 'Get-ManagementScope' $PSBoundParameters
}

function New-ManagementScope {
    [CmdletBinding(SupportsShouldProcess)] param(
        [Parameter(Mandatory)] [string] $Name, [Parameter(Mandatory)] [string] $RecipientRestrictionFilter)
    if ($PSCmdlet.ShouldProcess($Name)) { Execute-Command 'New-ManagementScope' $PSBoundParameters }
}

function Set-ManagementScope {
    [CmdletBinding(SupportsShouldProcess)] param(
        [Parameter(Mandatory)] [string] $Identity, [string] $RecipientRestrictionFilter, [string] $Name)
    if ($PSCmdlet.ShouldProcess($Identity)) { Execute-Command 'Set-ManagementScope' $PSBoundParameters }
}

function Remove-ManagementScope {
    [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param([Parameter(Mandatory)] [string] $Identity)
    if ($PSCmdlet.ShouldProcess($Identity)) { Execute-Command 'Remove-ManagementScope' $PSBoundParameters }
}

function Get-ManagementRoleAssignment {
    [CmdletBinding()] param([string] $Role, [string] $RoleAssignee)
    Execute-Command 'Get-ManagementRoleAssignment' $PSBoundParameters
}

function New-ManagementRoleAssignment {
    [CmdletBinding(SupportsShouldProcess)] param(
        [string] $Name, [Parameter(Mandatory)] [string] $App, [Parameter(Mandatory)] [string] $Role,
        [string] $CustomResourceScope)
    if ($PSCmdlet.ShouldProcess($Name)) { Execute-Command 'New-ManagementRoleAssignment' $PSBoundParameters }
}

function Remove-ManagementRoleAssignment {
    [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param([Parameter(Mandatory)] [string] $Identity)
    if ($PSCmdlet.ShouldProcess($Identity)) { Execute-Command 'Remove-ManagementRoleAssignment' $PSBoundParameters }
}

function Test-ServicePrincipalAuthorization {
    [CmdletBinding()] param([Parameter(Mandatory)] [string] $Identity, [string] $Resource)
    Execute-Command 'Test-ServicePrincipalAuthorization' $PSBoundParameters
}

function Get-SecOpsOverridePolicy {
    [CmdletBinding()] param([string] $Identity)
    Execute-Command 'Get-SecOpsOverridePolicy' $PSBoundParameters
}

function New-SecOpsOverridePolicy {
    [CmdletBinding(SupportsShouldProcess)] param(
        [Parameter(Mandatory)] [string] $Name, [Parameter(Mandatory)] [string[]] $SentTo, [string] $Comment)
    if ($PSCmdlet.ShouldProcess($Name)) { Execute-Command 'New-SecOpsOverridePolicy' $PSBoundParameters }
}

function Set-SecOpsOverridePolicy {
    [CmdletBinding(SupportsShouldProcess)] param(
        [Parameter(Mandatory)] [string] $Identity, [string[]] $AddSentTo, [string[]] $RemoveSentTo, [string] $Comment)
    if ($PSCmdlet.ShouldProcess($Identity)) { Execute-Command 'Set-SecOpsOverridePolicy' $PSBoundParameters }
}

function Remove-SecOpsOverridePolicy {
    [CmdletBinding(SupportsShouldProcess, ConfirmImpact = 'High')] param([Parameter(Mandatory)] [string] $Identity)
    if ($PSCmdlet.ShouldProcess($Identity)) { Execute-Command 'Remove-SecOpsOverridePolicy' $PSBoundParameters }
}

function Get-ExoSecOpsOverrideRule {
    [CmdletBinding()] param([string] $Identity, [string] $Policy)
    Execute-Command 'Get-ExoSecOpsOverrideRule' $PSBoundParameters
}

function New-ExoSecOpsOverrideRule {
    [CmdletBinding(SupportsShouldProcess)] param(
        [Parameter(Mandatory)] [string] $Policy, [string] $Name, [string] $Comment)
    if ($PSCmdlet.ShouldProcess($Policy)) { Execute-Command 'New-ExoSecOpsOverrideRule' $PSBoundParameters }
}

Export-ModuleMember -Function 'Get-*', 'New-*', 'Set-*', 'Remove-*', 'Test-*'
