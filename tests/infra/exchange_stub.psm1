# Stands in for Exchange Online: keeps a tenant in a JSON file, whose path is in EXCHANGE_STATE, and notes each change
# in it. Each function has the parameters of Microsoft's reference (learn.microsoft.com/powershell/module/
# exchangepowershell) that a script may need, and no other; tests/infra/test_exchange_access.py holds the script to them
# also where there is no PowerShell to run it.

function Read-Tenant { Get-Content -Path $env:EXCHANGE_STATE -Raw | ConvertFrom-Json }

function Save-Tenant($Tenant, [string] $Change) {
    $Tenant.changes = @($Tenant.changes) + $Change
    $Tenant | ConvertTo-Json -Depth 9 | Set-Content -Path $env:EXCHANGE_STATE
}

function Connect-ExchangeOnline {
    [CmdletBinding()] param([switch] $ShowBanner, [string] $UserPrincipalName)
}

function Get-Mailbox {
    [CmdletBinding()] param([string] $Identity)
    $found = (Read-Tenant).mailboxes | Where-Object { $_.PrimarySmtpAddress -eq $Identity }
    if (-not $found) { throw "The operation couldn't be performed because object '$Identity' couldn't be found." }
    $found
}

function Get-ServicePrincipal {
    [CmdletBinding()] param([string] $Identity)
    (Read-Tenant).principals
}

function New-ServicePrincipal {
    [CmdletBinding()] param(
        [Parameter(Mandatory)] [string] $AppId, [Parameter(Mandatory)] [string] $ObjectId, [string] $DisplayName)
    $tenant = Read-Tenant
    $tenant.principals = @($tenant.principals) + [pscustomobject] @{
        AppId = $AppId; ObjectId = $ObjectId; DisplayName = $DisplayName
    }
    Save-Tenant $tenant 'New-ServicePrincipal'
    [pscustomobject] @{ ObjectId = $ObjectId }
}

function Remove-ServicePrincipal {
    [CmdletBinding(SupportsShouldProcess)] param([Parameter(Mandatory)] [string] $Identity)
    $tenant = Read-Tenant
    $tenant.principals = @($tenant.principals | Where-Object { $_.ObjectId -ne $Identity })
    Save-Tenant $tenant 'Remove-ServicePrincipal'
}

function Get-ManagementScope {
    [CmdletBinding()] param([string] $Identity)
    (Read-Tenant).scopes
}

function New-ManagementScope {
    [CmdletBinding()] param(
        [Parameter(Mandatory)] [string] $Name, [Parameter(Mandatory)] [string] $RecipientRestrictionFilter)
    $tenant = Read-Tenant
    $stored = '(' + ($RecipientRestrictionFilter -replace ' -or ', ') -or (') + ')'
    $tenant.scopes = @($tenant.scopes) + [pscustomobject] @{ Name = $Name; RecipientFilter = $stored }
    Save-Tenant $tenant 'New-ManagementScope'
    [pscustomobject] @{ Name = $Name }
}

function Set-ManagementScope {
    [CmdletBinding()] param(
        [Parameter(Mandatory)] [string] $Identity, [Parameter(Mandatory)] [string] $RecipientRestrictionFilter)
    $tenant = Read-Tenant
    ($tenant.scopes | Where-Object { $_.Name -eq $Identity }).RecipientFilter = $RecipientRestrictionFilter
    Save-Tenant $tenant 'Set-ManagementScope'
}

function Remove-ManagementScope {
    [CmdletBinding(SupportsShouldProcess)] param([Parameter(Mandatory)] [string] $Identity)
    $tenant = Read-Tenant
    if ($tenant.assignments | Where-Object { $_.Scope -eq $Identity }) { throw 'The scope is in use.' }
    $tenant.scopes = @($tenant.scopes | Where-Object { $_.Name -ne $Identity })
    Save-Tenant $tenant 'Remove-ManagementScope'
}

function Get-ManagementRoleAssignment {
    [CmdletBinding()] param([string] $Role, [string] $RoleAssignee)
    (Read-Tenant).assignments | Where-Object { $_.Role -eq $Role }
}

function New-ManagementRoleAssignment {
    [CmdletBinding()] param(
        [string] $Name, [Parameter(Mandatory)] [string] $App, [Parameter(Mandatory)] [string] $Role,
        [string] $CustomResourceScope)
    $tenant = Read-Tenant
    if ($Name.Length -gt 64) { throw 'The name is longer than 64 characters.' }
    if (-not ($tenant.principals | Where-Object { $_.ObjectId -eq $App })) { throw "No service principal $App." }
    if (-not ($tenant.scopes | Where-Object { $_.Name -eq $CustomResourceScope })) { throw 'No such scope.' }
    $tenant.assignments = @($tenant.assignments) + [pscustomobject] @{
        Name = $Name; App = $App; Role = $Role; Scope = $CustomResourceScope
    }
    Save-Tenant $tenant 'New-ManagementRoleAssignment'
    [pscustomobject] @{ Name = $Name }
}

function Remove-ManagementRoleAssignment {
    [CmdletBinding(SupportsShouldProcess)] param([Parameter(Mandatory)] [string] $Identity)
    $tenant = Read-Tenant
    $tenant.assignments = @($tenant.assignments | Where-Object { $_.Name -ne $Identity })
    Save-Tenant $tenant 'Remove-ManagementRoleAssignment'
}

function Test-ServicePrincipalAuthorization {
    [CmdletBinding()] param([Parameter(Mandatory)] [string] $Identity, [string] $Resource)
    $tenant = Read-Tenant
    $mailbox = $tenant.mailboxes | Where-Object { $_.PrimarySmtpAddress -eq $Resource }
    foreach ($assignment in @($tenant.assignments | Where-Object { $_.App -eq $Identity })) {
        $scope = $tenant.scopes | Where-Object { $_.Name -eq $assignment.Scope }
        [pscustomobject] @{
            RoleName             = $assignment.Role
            GrantedPermissions   = $assignment.Role -replace '^Application ', ''
            AllowedResourceScope = $assignment.Scope
            InScope              = -not $scope -or $scope.RecipientFilter -match $mailbox.Guid
        }
    }
}

function Get-SecOpsOverridePolicy {
    [CmdletBinding()] param([string] $Identity)
    (Read-Tenant).policies
}

function New-SecOpsOverridePolicy {
    [CmdletBinding()] param(
        [Parameter(Mandatory)] [string] $Name, [Parameter(Mandatory)] [string[]] $SentTo, [string] $Comment)
    $tenant = Read-Tenant
    $tenant.policies = @($tenant.policies) + [pscustomobject] @{
        Name = $Name; SentTo = $SentTo; Comment = $Comment; Mode = 'Enforce'
    }
    Save-Tenant $tenant 'New-SecOpsOverridePolicy'
    [pscustomobject] @{ Name = $Name }
}

function Set-SecOpsOverridePolicy {
    [CmdletBinding()] param(
        [Parameter(Mandatory)] [string] $Identity, [string[]] $AddSentTo, [string[]] $RemoveSentTo)
    $tenant = Read-Tenant
    $policy = $tenant.policies | Where-Object { $_.Name -eq $Identity -and $_.Mode -ne 'PendingDeletion' }
    $policy.SentTo = @(@($policy.SentTo) + @($AddSentTo) | Where-Object { $_ -and $_ -notin $RemoveSentTo })
    Save-Tenant $tenant 'Set-SecOpsOverridePolicy'
}

function Remove-SecOpsOverridePolicy {
    [CmdletBinding(SupportsShouldProcess)] param([Parameter(Mandatory)] [string] $Identity)
    $tenant = Read-Tenant
    foreach ($one in @($tenant.policies) + @($tenant.rules)) { $one.Mode = 'PendingDeletion' }
    Save-Tenant $tenant 'Remove-SecOpsOverridePolicy'
}

function Get-ExoSecOpsOverrideRule {
    [CmdletBinding()] param([string] $Identity, [string] $Policy)
    (Read-Tenant).rules
}

function New-ExoSecOpsOverrideRule {
    [CmdletBinding()] param([string] $Name, [Parameter(Mandatory)] [string] $Policy)
    $tenant = Read-Tenant
    $tenant.rules = @($tenant.rules) + [pscustomobject] @{
        Name = "_Exe:SecOpsOverrid:$([guid]::NewGuid())"; Mode = 'Enforce'
    }
    Save-Tenant $tenant 'New-ExoSecOpsOverrideRule'
    [pscustomobject] @{ Policy = $Policy }
}

Export-ModuleMember -Function '*'
