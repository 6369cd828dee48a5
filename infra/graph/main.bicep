// The same grants as ../scripts/graph-access.sh makes, for those who grant in Bicep: the app's application permissions
// in Microsoft Graph, one for each row of ../graph-permissions.json that is asked for. It is opt-in and no part of
// ../main.bicep, because whoever deploys it must be Privileged Role Administrator, and because the extension comes from
// a registry, so that it cannot be compiled offline.
// What is held: a name that this tenant does not know, or knows by another id, fails the deployment.

extension microsoftGraphV1

@description('Object id of the identity\'s service principal: output identityPrincipalId of ../main.bicep.')
@minLength(36)
@maxLength(36)
param identityPrincipalId string

@description('Also grants what the setting DEFENDER_ALERTS needs.')
param withAlerts bool = false

@description('Also grants what the setting HUNTING_QUERY needs.')
param withHunting bool = false

@description('Which values of `when` are asked for.')
var wanted = concat(['always'], withAlerts ? ['DEFENDER_ALERTS'] : [], withHunting ? ['HUNTING_QUERY'] : [])

@description('The permissions to grant.')
var permissions = filter(loadJsonContent('../graph-permissions.json'), row => contains(wanted, row.when))

@description('Microsoft Graph in this tenant. Its application id is the same everywhere.')
resource graph 'Microsoft.Graph/servicePrincipals@v1.0' existing = {
  appId: '00000003-0000-0000-c000-000000000000'
}

@description('One assignment per permission. Its role is an application role: many have a delegated namesake.')
resource assignments 'Microsoft.Graph/appRoleAssignedTo@v1.0' = [
  for permission in permissions: {
    appRoleId: first(filter(
      graph.appRoles,
      role =>
        role.value == permission.name && role.id == permission.id && contains(role.allowedMemberTypes, 'Application')
    ))!.id
    principalId: identityPrincipalId
    resourceId: graph.id
  }
]

@description('The names of what the identity was granted.')
output granted array = map(permissions, row => row.name)
